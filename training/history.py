"""What happened in training: every curve, as a table, a plot or plain lists."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xpnet.common import nearest
from xpnet.training.metric import Metric
from xpnet.training.metrics import METRICS

HIDDEN = ("learning_rate", "seconds", "samples_per_second")
MODES = {"min": False, "max": True}
# What curves of these names mean where the training itself does not write them.
KNOWN = dict.fromkeys(("loss", "val_loss", "objective"), False) | {
    f"val_{name}": metric.higher_is_better for name, metric in METRICS.items()
}


def check_mode(owner: str, mode: Any) -> bool | None:
    """Whether `mode` says that higher is better; None where it says nothing.

    Raises:
        TypeError, ValueError: neither None, "min" nor "max".
    """
    if mode is None:
        return None
    if not isinstance(mode, str) or mode not in MODES:
        kind = ValueError if isinstance(mode, str) else TypeError
        start = f"{owner}: " if owner else ""
        raise kind(f"{start}expected mode 'min', 'max' or None, got {mode!r}")
    return MODES[mode]


def direction(owner: str, name: str, known: bool | None) -> bool:
    """`known`, whether a higher `name` is better; raises ValueError where it is not."""
    if known is None:
        raise ValueError(
            f"{owner}: whether a higher {name!r} is better is not known; say "
            "mode='max' or mode='min', or give the metric its direction: "
            "xn.Metric(function, higher_is_better=True)"
        )
    return known


class History:
    """One row an epoch; `history["val_loss"]` is a curve.

    Curves: "loss" (mean over the epoch's batches, while the weights moved), "val_loss"
    and "val_" + metric where validation data were given, "learning_rate" (the last of
    the epoch), "seconds", "samples_per_second".

    Args:
        monitor: see below.
        higher_is_better: for curves other than losses, see below.

    Attributes:
        rows: a dict an epoch.
        monitor: the curve that decides which epoch is best.
        higher_is_better: {curve: True, False or None}, of every curve that the training
            itself writes: None where it is not known which end is good. A callback that
            adds a curve may enter it here.
        stopped: why training ended early; empty if it did not.
        diagnosis: the `Diagnosis` of `fit(..., diagnose=True)`; None without.
    """

    def __init__(
        self,
        monitor: str = "loss",
        higher_is_better: Mapping[str, bool | None] | None = None,
    ) -> None:
        self.rows: list[dict[str, float]] = []
        self.monitor = monitor
        self.higher_is_better = {"loss": False, **(higher_is_better or {})}
        self.stopped = ""
        self.diagnosis: Any = None

    @classmethod
    def of(
        cls, metrics: Mapping[str, Metric], validated: bool, extra: Iterable[str] = ()
    ) -> "History":
        """The empty history of a training.

        Args:
            metrics: of its Trainer.
            validated: whether they are evaluated after each epoch.
            extra: curves of its own.
        """
        names = ("loss", *(("val_loss",) if validated else ()), *HIDDEN, *extra)
        curves = {name: KNOWN.get(name) for name in names}
        if not validated:
            return cls("loss", curves)
        scores = {f"val_{n}": m.higher_is_better for n, m in metrics.items()}
        return cls("val_loss", curves | scores)

    def direction(self, name: str) -> bool | None:
        """Whether a higher value of this curve is better; None if it is not known."""
        return self.higher_is_better.get(name, KNOWN.get(name))

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
        """Number (from 1) of the epoch with the best `monitor`; None without one.

        The first of several; never one whose value is NaN.

        Raises:
            ValueError: there is no such curve, or which end of it is good is not known.
        """
        monitor = self.monitor
        known = {*self.names, *self.higher_is_better, *KNOWN}
        if monitor not in known:
            raise ValueError(
                f"history.monitor: no curve {monitor!r}; {nearest(monitor, known)}"
            )
        seen = [
            (row[monitor], i)
            for i, row in enumerate(self.rows, 1)
            if not math.isnan(row.get(monitor, math.nan))
        ]
        if not seen:
            return None
        higher = self.direction(monitor)
        if higher is None:
            raise ValueError(
                f"history.monitor: whether a higher {monitor!r} is better is not "
                f"known; say history.higher_is_better[{monitor!r}] = True or False"
            )
        sign = -1 if higher else 1
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

        return plot_history(self.rows, self.best_epoch, path)


def _columns(row: dict[str, float]) -> list[str]:
    return [name for name in row if name not in HIDDEN]


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
