"""What happened in training: every curve, as a table, a plot or plain lists."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnet.common import nearest

if TYPE_CHECKING:
    from xpnet.training.diagnosis import Diagnosis

# Curves where more is better; for all others less is.
RISING = ("accuracy", "r2", "top_")


def rising(name: str) -> bool:
    """Whether larger values of the curve `name` are better."""
    plain = name.removeprefix("val_").removeprefix("binary_")
    return plain.startswith(RISING)


class History:
    """One row an epoch; `history["val_loss"]` is a curve.

    Curves: "loss" (mean over the epoch's batches, while the weights moved), "val_loss"
    and "val_" + metric where validation data were given, "learning_rate" (the last of
    the epoch), "seconds", "samples_per_second".

    Attributes:
        rows: a dict an epoch.
        monitor: the curve that decides which epoch is best.
        stopped: why training ended early; empty if it did not.
        diagnosis: what the doctor saw in `fit(..., diagnose=True)`; None without.
    """

    def __init__(self, monitor: str = "loss") -> None:
        self.rows: list[dict[str, float]] = []
        self.monitor = monitor
        self.stopped = ""
        self.diagnosis: Diagnosis | None = None

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no curve {name!r}; {nearest(name, self.names)}")
        return [row[name] for row in self.rows if name in row]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    @property
    def names(self) -> list[str]:
        """The curves that there are."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def best_epoch(self) -> int | None:
        """Number (from 1) of the epoch with the best `monitor`; None without one."""
        seen = [
            (row[self.monitor], i)
            for i, row in enumerate(self.rows, 1)
            if not math.isnan(row.get(self.monitor, math.nan))
        ]
        if not seen:
            return None
        sign = -1 if rising(self.monitor) else 1
        return min(seen, key=lambda pair: (sign * pair[0], pair[1]))[1]

    def __str__(self) -> str:
        lines = [header(self.rows[0]) if self.rows else "no epochs yet"]
        best = self.best_epoch
        lines += [line(i, row, i == best) for i, row in enumerate(self.rows, 1)]
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None) -> Any:
        """Loss and metric curves over epochs; saved to `path` if one is given.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is missing, with the install line.
        """
        from xpnet.training.plots import plot_history

        return plot_history(self, path)


def _columns(row: dict[str, float]) -> list[str]:
    hidden = ("seconds", "samples_per_second", "learning_rate")
    return [name for name in row if name not in hidden]


def header(row: dict[str, float]) -> str:
    """The table's first line, for rows like `row`."""
    cells = [f"{name:>{max(len(name), 9)}}" for name in _columns(row)]
    return "  ".join(["epoch", *cells, f"{'rate':>9}", f"{'samples/s':>10}", "best"])


def line(epoch: int, row: dict[str, float], best: bool) -> str:
    """One epoch of the table; a star marks the best so far."""
    cells = [f"{row[name]:>{max(len(name), 9)}.4g}" for name in _columns(row)]
    rate, speed = row["learning_rate"], row["samples_per_second"]
    star = "   *" if best else ""
    parts = [f"{epoch:>5}", *cells, f"{rate:>9.3g}", f"{speed:>10,.0f}"]
    return "  ".join(parts) + ("  " + star if star else "")
