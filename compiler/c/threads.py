"""Threads that share a call.

Workers in C take parts of the calls of a batch; see `runtime.c`, "The thread team". A
long loop over something else is divided among Python threads.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from xpnet.compiler.row_partition import MAX_PARTS

THREAD_TEAMS = sys.platform != "win32"  # what runtime.c needs of the system


class Workers:
    """The worker threads of a process, beside the main thread of a program.

    They never run Python and receive no signals.

    Attributes:
        count: how many have been started.
    """

    def __init__(self) -> None:
        self._lock, self.count = Lock(), 0
        self._loaded: Any = None
        self._address = 0

    def join(self, loaded: Any, threads: int) -> None:
        """Divide the calls of a library among `threads`, the main thread among them."""
        with self._lock:
            if self._loaded is None:
                self._loaded = loaded  # they run its functions, so it stays loaded
                self._begin()
            start = self._loaded.xpnet_team_start
            while self.count < min(threads, MAX_PARTS) - 1:
                if not start(self._address, self.count + 1):
                    break  # the main thread does what no worker does
                self.count += 1
        loaded.xpnet_team_join.argtypes = [ctypes.c_void_p]
        loaded.xpnet_team_join(self._address)

    def _begin(self) -> None:
        begin = self._loaded.xpnet_team_begin
        begin.argtypes, begin.restype = [], ctypes.c_void_p
        start = self._loaded.xpnet_team_start
        start.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        start.restype = ctypes.c_int
        self._address = begin()

    def after_fork(self) -> None:
        """Start anew: a child process has one thread only."""
        self._lock, self.count = Lock(), 0
        if self._loaded is not None:
            self._begin()


WORKERS = Workers()


@cache
def _pool(threads: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads - 1, "xpnet-loop")


def shared(function: Callable[..., Any], parts: list[tuple[Any, ...]]) -> None:
    """Call `function` on each of `parts` in threads; this one takes the first."""
    pool = _pool(len(parts))
    waiting = [pool.submit(function, *part) for part in parts[1:]]
    function(*parts[0])
    for result in waiting:
        result.result()


def _after_fork() -> None:
    """The child process has one thread."""
    WORKERS.after_fork()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
