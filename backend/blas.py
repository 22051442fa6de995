"""NumPy's OpenBLAS: read and set its number of threads cheaply.

The functions are found through the library that NumPy's own products call, without a
look at all others of the process, as threadpoolctl takes it.
"""

import ctypes
import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, wraps
from threading import RLock
from typing import Any

NAMES = [
    f"{prefix}openblas_%s_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]


@dataclass(frozen=True)
class OpenBLAS:
    """Its two functions, `int get(void)` and `void set(int)`; where the first is."""

    get: Any
    set: Any
    address: int = 0


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
            return OpenBLAS(get, found, _address(get))
    return None


class _OneThread:
    """BLAS computes with one thread until all who have entered have left.

    The number is the process's. What another thread sets meanwhile is in force when
    the last has left.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Nothing is within."""
        self._lock, self._within, self._changing = RLock(), 0, False
        self.threads = 0  # that BLAS has outside; 0 where nothing is within

    def __enter__(self) -> None:
        blas = _blas()
        with self._lock:
            _tell_the_number_outside()  # once: a cache alone would let two threads in
            if self._within == 0:
                self.threads = int(blas.get())
                if self.threads > 1:
                    blas.set(1)
            self._within += 1

    def __exit__(self, *error: object) -> None:
        blas = _blas()
        with self._lock:
            self._within -= 1
            if self._within == 0:
                # Another number than 1 was set meanwhile, past `change`: it stays.
                if self.threads > 1 and blas.get() == 1:
                    blas.set(self.threads)
                self.threads = 0

    def change(self, change: Callable[[], None]) -> None:
        """Let `change` set the number of threads that BLAS has outside."""
        blas = _blas()
        with self._lock:
            if self._within == 0 or self._changing:  # which may call itself
                change()
                return
            self._changing = True
            blas.set(self.threads)
            try:
                change()
            finally:
                self._changing, self.threads = False, int(blas.get())
                if self.threads > 1:
                    blas.set(1)


_ONE = _OneThread()


def one_thread(wanted: bool = True) -> AbstractContextManager[object]:
    """BLAS computes with one thread within the block, if that is `wanted`."""
    return _ONE if wanted else nullcontext()


def blas_threads() -> int:
    """How many threads NumPy's BLAS uses outside `one_thread`; 1 if it does not say."""
    blas = openblas() or _through_threadpoolctl()
    return _ONE.threads or int(blas.get())


def _blas() -> OpenBLAS:
    """The functions of NumPy's BLAS, whatever it is."""
    return openblas() or _through_threadpoolctl()


@cache
def _through_threadpoolctl() -> OpenBLAS:
    """They have a look at every library of the process, once."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    # SciPy brings a library of its own.
    own = [one for one in found if "numpy" in one.filepath] or found

    def count() -> int:
        return max((int(one.num_threads or 1) for one in own), default=1)

    def limit(threads: int) -> None:
        for one in own:
            one.set_num_threads(threads)

    return OpenBLAS(count, limit)


@cache
def _tell_the_number_outside() -> None:
    """Let threadpoolctl read and set the number that BLAS has outside `one_thread`.

    Else a `threadpool_limits` that another thread enters meanwhile reads 1 as the
    number before it, and puts that back when its block ends, for good.
    """
    try:
        from threadpoolctl import OpenBLASController as Controller
    except ImportError:
        return
    get, put = Controller.get_num_threads, Controller.set_num_threads

    @wraps(get)
    def get_num_threads(self: Any) -> Any:
        return (_ONE.threads if _is_numpys(self) else 0) or get(self)

    @wraps(put)
    def set_num_threads(self: Any, num_threads: int) -> Any:
        if not _is_numpys(self):
            return put(self, num_threads)
        return _ONE.change(lambda: put(self, num_threads))

    Controller.get_num_threads = get_num_threads
    Controller.set_num_threads = set_num_threads


def _is_numpys(controller: Any) -> bool:
    """Whether it controls the library that NumPy multiplies with."""
    own = openblas()
    if own is None or not own.address:
        return False
    found = (getattr(controller.dynlib, name % "get", None) for name in NAMES)
    return own.address in (_address(function) for function in found if function)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _after_fork() -> None:
    """The child has none of the threads that were within."""
    threads = _ONE.threads
    _ONE.forget()
    if threads > 1:
        _blas().set(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
