"""Ctrl-C ends training after the current step; a second one ends it at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within the block the first Ctrl-C only sets `asked`.

    Outside the main thread, where signals cannot be caught, nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
