"""Threads that share a call.

Followers wait in C for parts of the calls of a batch; see `runtime.c`, "The crew". A
long loop over something else is divided among threads of Python's.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from xpnet.compiler.row_partition import MAX_PARTS

CREWS = sys.platform != "win32"  # what runtime.c needs of the system


class Followers:
    """One crew a process: the thread that runs a program leads it, and these follow.

    They are no threads of Python's: they never run Python, and hear no signals.

    Attributes:
        count: how many have been started.
    """

    def __init__(self) -> None:
        self._lock, self.count = Lock(), 0
        self._loaded: Any = None
        self._address = 0

    def join(self, loaded: Any, threads: int) -> None:
        """Let the calls of a library be shared by so many threads, the leader's too."""
        with self._lock:
            if self._loaded is None:
                self._loaded = loaded  # whose functions they run; it stays for ever
                self._begin()
            follow = self._loaded.xpnet_crew_follow
            while self.count < min(threads, MAX_PARTS) - 1:
                if not follow(self._address, self.count + 1):
                    break  # the system has no thread for us: the leader does its part
                self.count += 1
        loaded.xpnet_crew_join.argtypes = [ctypes.c_void_p]
        loaded.xpnet_crew_join(self._address)

    def _begin(self) -> None:
        begin = self._loaded.xpnet_crew_begin
        begin.argtypes, begin.restype = [], ctypes.c_void_p
        follow = self._loaded.xpnet_crew_follow
        follow.argtypes, follow.restype = (
            [ctypes.c_void_p, ctypes.c_int64],
            ctypes.c_int,
        )
        self._address = begin()

    def after_fork(self) -> None:
        """The child has no threads but one, whatever they were doing."""
        self._lock, self.count = Lock(), 0
        if self._loaded is not None:
            self._begin()


FOLLOWERS = Followers()


@cache
def _pool(threads: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads - 1, "xpnet-loop")


def shared(function: Callable[..., Any], parts: list[tuple[Any, ...]]) -> None:
    """`function` on each of `parts`, a thread each; this thread takes the first."""
    pool = _pool(len(parts))
    waiting = [pool.submit(function, *part) for part in parts[1:]]
    function(*parts[0])
    for result in waiting:
        result.result()


def _after_fork() -> None:
    """The child has one thread."""
    FOLLOWERS.after_fork()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
