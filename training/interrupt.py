"""Ctrl-C ends training after the current step; a second one ends it at once.

A program that handles SIGINT itself, or ignores it, goes on doing so: then nothing is
changed here, and its handler may set `trainer.stop` or raise.
"""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within the block the first Ctrl-C only sets `asked`.

    That holds in the main thread, where Python alone takes signals, and where Ctrl-C
    would raise KeyboardInterrupt or end a `fit` around this one. Else nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if previous is signal.default_int_handler or _around(previous):
                self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        # Where the program has set another handler meanwhile, that one stays.
        if (
            self._previous is not None
            and signal.getsignal(signal.SIGINT) == self._handle
        ):
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        around = _around(self._previous)
        if around is not None:
            around.asked = True


def _around(handler: Any) -> Interrupt | None:
    """The `Interrupt` whose handler this is."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Interrupt) else None
