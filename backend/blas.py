"""NumPy's OpenBLAS: how many threads it has, asked and set in no time.

The functions are found through the library that NumPy's own products call, without a
look at all others of the process, as threadpoolctl takes it.
"""

import ctypes
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
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

    def limit(self, kept: list[int]) -> None:
        """One thread from now on; `kept` is how many there were."""
        threads = self.get()
        if threads > 1:
            kept[:] = [threads]
            self.set(1)

    def release(self, kept: list[int]) -> None:
        """As many threads as before `limit`."""
        if kept:
            self.set(kept.pop())


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS computes with one thread within the block."""
    own, kept = openblas(), list[int]()
    if own is None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            yield
        return
    own.limit(kept)
    try:
        yield
    finally:
        own.release(kept)


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
