"""NumPy's OpenBLAS: how many threads it has, asked and set in no time.

The functions are found through the library that NumPy's own products call, without a
look at all others of the process, as threadpoolctl takes it.
"""

import ctypes
import importlib
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

NAMES = [
    f"{prefix}openblas_%s_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]


@dataclass(frozen=True)
class OpenBLAS:
    """Its two functions, `int get(void)` and `void set(int)`."""

    get: Any
    set: Any


@cache
def openblas() -> OpenBLAS | None:
    """NumPy's OpenBLAS; None where it multiplies with something else."""
    try:
        own = importlib.import_module("numpy._core._multiarray_umath")
        linked = ctypes.CDLL(own.__file__)
    except (ImportError, AttributeError, OSError):
        return None
    for name in NAMES:
        get = getattr(linked, name % "get", None)
        found = getattr(linked, name % "set", None)
        if get is not None and found is not None:
            get.argtypes, get.restype = (), ctypes.c_int
            found.argtypes, found.restype = (ctypes.c_int,), None
            return OpenBLAS(get, found)
    return None


class _OneThread:
    """BLAS computes with one thread until all who have entered have left."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Nobody is within."""
        self._lock, self._within = Lock(), 0
        self.threads = 0  # that BLAS has outside; 0 where nobody is within

    def __enter__(self) -> None:
        blas = openblas()
        assert blas is not None
        with self._lock:
            if self._within == 0:
                self.threads = int(blas.get())
                if self.threads > 1:
                    blas.set(1)
            self._within += 1

    def __exit__(self, *error: object) -> None:
        blas = openblas()
        assert blas is not None
        with self._lock:
            self._within -= 1
            if self._within == 0:
                if self.threads > 1:
                    blas.set(self.threads)
                self.threads = 0


_ONE = _OneThread()


def one_thread(wanted: bool = True) -> AbstractContextManager[object]:
    """BLAS computes with one thread within the block, if that is `wanted`."""
    if not wanted:
        return nullcontext()
    if openblas() is not None:
        return _ONE
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


def blas_threads() -> int:
    """How many threads NumPy's BLAS uses outside `one_thread`; 1 if it does not say."""
    own = openblas()
    return _told_threads() if own is None else _ONE.threads or int(own.get())


@cache
def _told_threads() -> int:
    """What threadpoolctl finds; it has a look at every library of the process."""
    from threadpoolctl import threadpool_info

    pools = [p for p in threadpool_info() if p.get("user_api") == "blas"]
    # SciPy brings a library of its own.
    own = [p for p in pools if "numpy" in p.get("filepath", "")]
    pools = own or pools
    return max((int(p["num_threads"]) for p in pools), default=1)


def _after_fork() -> None:
    """The child has none of the threads that were within."""
    own, threads = openblas(), _ONE.threads
    _ONE.forget()
    if own is not None and threads > 1:
        own.set(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
