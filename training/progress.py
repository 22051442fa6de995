"""What a person sees while training: a bar on a terminal, a table row an epoch."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TextIO

from xpnet.common.console import bar, output, say
from xpnet.training.history import History, header, line


class Progress:
    """Prints rows of the history, and a bar over the batches of a long epoch.

    Args:
        verbose: True prints the table; None does so only on a terminal.
        stream: where to; the bar is shown only if this is a terminal.
    """

    def __init__(self, verbose: bool | None, stream: TextIO | None = None) -> None:
        self.stream = output(stream)
        self.terminal = self.stream.isatty()
        self.verbose = self.terminal if verbose is None else verbose
        self._header = ""

    def bar(
        self, batches: int, epoch: int, epochs: int
    ) -> AbstractContextManager[Callable[[int], object]]:
        """What counts batches done: a bar, where they take longer than a second."""
        shown = self.verbose and self.terminal
        label = f"epoch {epoch}/{epochs}"
        return bar(batches, shown, self.stream, desc=label, delay=1.0, unit="batch")

    def epoch(self, history: History) -> None:
        """The newest row; the header first, and again when the columns change."""
        if not self.verbose:
            return
        row = history.rows[-1]
        if header(row) != self._header:
            self._header = header(row)
            say(self._header, self.stream)
        number = len(history)
        best = number == history.best_epoch
        say(line(number, row, best), self.stream)

    def note(self, text: str) -> None:
        """One line of text."""
        if self.verbose and text:
            say(text, self.stream)
