"""What a person sees while training: a bar on a terminal, a table row an epoch."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from xpnet.training.history import History, header, line


class Progress:
    """Prints rows of the history, and a bar over the batches of a long epoch.

    Args:
        verbose: True prints the table; None does so only on a terminal.
        stream: where to; the bar is shown only if this is a terminal.
    """

    def __init__(self, verbose: bool | None, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.terminal = self.stream.isatty()
        self.verbose = self.terminal if verbose is None else verbose
        self._header = ""

    @contextmanager
    def bar(
        self, batches: int, epoch: int, epochs: int
    ) -> Iterator[Callable[[int], Any]]:
        """What counts batches done: a bar, where they take longer than a second."""
        if not (self.verbose and self.terminal):
            yield lambda done: None
            return
        from tqdm import tqdm

        label = f"epoch {epoch}/{epochs}"
        with tqdm(
            total=batches,
            desc=label,
            leave=False,
            delay=1.0,
            file=self.stream,
            unit="batch",
        ) as bar:
            yield bar.update

    def epoch(self, history: History) -> None:
        """The newest row; the header first, and again when the columns change."""
        if not self.verbose:
            return
        row = history.rows[-1]
        if header(row) != self._header:
            self._header = header(row)
            print(self._header, file=self.stream)
        number = len(history)
        best = number == history.best_epoch
        print(line(number, row, best), file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """One line of text."""
        if self.verbose and text:
            print(text, file=self.stream, flush=True)
