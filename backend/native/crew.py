"""Threads that wait in C for parts of a call; see `runtime.c`, "The crew"."""

import ctypes
from threading import Lock, Thread
from typing import Any

from xpnet.backend.blas import openblas
from xpnet.backend.native.share import MOST

_LOCK = Lock()
_crew: "Crew | None" = None


class Crew:
    """One a process: a leader, who is whoever runs a program, and followers.

    Args:
        loaded: the library whose functions they run; it is never unloaded.
    """

    def __init__(self, loaded: Any) -> None:
        blas = openblas()
        assert blas is not None
        begin, self._follow = loaded.xpnet_crew_begin, loaded.xpnet_crew_follow
        begin.argtypes, begin.restype = [ctypes.c_void_p] * 2, ctypes.c_void_p
        self._follow.argtypes, self._follow.restype = (
            [ctypes.c_void_p, ctypes.c_int64],
            None,
        )
        functions = [ctypes.cast(f, ctypes.c_void_p) for f in (blas.get, blas.set)]
        self.address = begin(*functions)
        self._followers = 0

    def grow(self, threads: int) -> None:
        """See to it that there are so many, the leader among them."""
        while self._followers < min(threads, MOST) - 1:
            self._followers += 1
            place = (self.address, self._followers)
            # It ends with the process, which does not wait for it.
            Thread(target=self._follow, args=place, daemon=True).start()


def join(loaded: Any, threads: int) -> None:
    """Let the calls of a library be shared by a crew of so many threads."""
    global _crew
    if not hasattr(loaded, "xpnet_crew_join"):  # Windows
        return
    with _LOCK:
        if _crew is None:
            _crew = Crew(loaded)
        _crew.grow(threads)
    loaded.xpnet_crew_join.argtypes = [ctypes.c_void_p]
    loaded.xpnet_crew_join(_crew.address)
