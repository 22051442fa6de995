"""Signals: Ctrl-C ends training after the current step, a second one ends it at once.

A program that handles SIGINT itself, or ignores it, goes on doing so: then nothing is
changed here, and its handler may set `trainer.stop` or raise. SIGTERM is looked at only
where there is something to save first; then it has the effect that it would have had.
"""

import signal
import threading
from types import FrameType
from typing import Any

from xpnet.compiler import tuning


class Interrupt:
    """Within the block the first Ctrl-C only sets `asked`.

    That holds in the main thread, where Python alone takes signals, and where Ctrl-C
    would raise KeyboardInterrupt or end a `fit` around this one. Else nothing changes.

    Args:
        terminate: whether the first SIGTERM sets `asked`, too, unless it is ignored;
            `pass_on` after the block lets it take its effect.

    Attributes:
        asked: whether training is to end after the current step.
        terminated: whether SIGTERM asked.
    """

    def __init__(self, terminate: bool = False) -> None:
        self.asked = self.terminated = False
        self._terminate = terminate
        self._previous: dict[int, Any] = {}

    @property
    def word(self) -> str:
        """What has been done to the training."""
        return "terminated" if self.terminated else "interrupted"

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is not threading.main_thread():
            return self
        press = signal.getsignal(signal.SIGINT)
        if press is signal.default_int_handler or _around(press):
            self._previous[signal.SIGINT] = press
        if self._terminate:
            end = signal.getsignal(signal.SIGTERM)
            if callable(end) or end is signal.SIG_DFL:
                self._previous[signal.SIGTERM] = end
        for number in self._previous:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number in self._previous:
            self._put_back(number)

    def _put_back(self, number: int) -> None:
        # Where the program has set another handler meanwhile, that one stays.
        if signal.getsignal(number) == self._handle:
            signal.signal(number, self._previous[number])

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            if self.terminated:
                self._put_back(number)
                signal.raise_signal(number)
            self.asked = self.terminated = True
            return
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        around = _around(self._previous[number])
        if around is not None:
            around.asked = True

    def pass_on(self) -> None:
        """After the block: let a SIGTERM that asked have its effect."""
        if self.terminated:
            signal.raise_signal(signal.SIGTERM)


def _around(handler: Any) -> Interrupt | None:
    """The `Interrupt` whose handler this is."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Interrupt) else None


class Pace:
    """How many steps run before an interrupt is looked at: some `BLOCK_SECONDS`.

    Attributes:
        steps: so many.
    """

    def __init__(self) -> None:
        self.steps = 1

    def note(self, steps: int, seconds: float) -> None:
        """So many steps have taken so long."""
        fit = int(tuning.BLOCK_SECONDS * steps / max(seconds, 1e-9))
        self.steps = max(1, min(2 * self.steps, fit))
