"""Threads that wait in C for parts of a call; see `runtime.c`, "The crew"."""

import ctypes
import os
import sys
from threading import Lock, Thread
from typing import Any

from xpnet.backend.native.share import MOST

CREWS = sys.platform != "win32"  # what runtime.c needs of the system


class Followers:
    """One crew a process: whoever runs a program leads it, and these follow."""

    def __init__(self) -> None:
        self._lock, self._count = Lock(), 0
        self._loaded: Any = None
        self._address = 0

    def join(self, loaded: Any, threads: int) -> None:
        """Let the calls of a library be shared by so many threads, the leader's too."""
        with self._lock:
            if self._loaded is None:
                self._loaded = loaded  # whose functions they run; it stays for ever
                self._begin()
            while self._count < min(threads, MOST) - 1:
                self._count += 1
                self._start(self._count)
        loaded.xpnet_crew_join.argtypes = [ctypes.c_void_p]
        loaded.xpnet_crew_join(self._address)

    def _begin(self) -> None:
        begin = self._loaded.xpnet_crew_begin
        begin.argtypes, begin.restype = [], ctypes.c_void_p
        self._address = begin()

    def _start(self, part: int) -> None:
        follow = self._loaded.xpnet_crew_follow
        follow.argtypes, follow.restype = [ctypes.c_void_p, ctypes.c_int64], None
        # It ends with the process, which does not wait for it.
        Thread(
            target=follow,
            args=(self._address, part),
            name=f"xpnet-crew-{part}",
            daemon=True,
        ).start()

    def after_fork(self) -> None:
        """The child has no threads but one, whatever they were doing."""
        self._lock, self._count = Lock(), 0
        if self._loaded is not None:
            self._begin()


FOLLOWERS = Followers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FOLLOWERS.after_fork)
