"""What `xpnet train` says at its end."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.training import Trainer

WIDE = 20  # classes above which a confusion matrix no longer fits a terminal


@dataclass
class Report:
    """Scores on one part of the data.

    Attributes:
        part: "test", or "training" where nothing was held out.
        samples: how many.
        scores: metric -> value.
        confusion: counts (label, predicted), or None for regression.
        classes: what the labels 0, 1, ... stand for.
    """

    part: str
    samples: int
    scores: dict[str, float]
    confusion: np.ndarray[Any, Any] | None
    classes: tuple[Any, ...]


def print_report(report: Report, trainer: Trainer, options: Namespace) -> None:
    """Accuracy, confusion matrix, and how to go on."""
    epoch = trainer.history.best_epoch
    if trainer.history.monitor == "val_loss" and epoch is not None:
        print(f"\nweights of the best epoch, {epoch}")
    held = report.part == "test"
    what = (
        "never trained or chosen on" if held else "the ones trained on; none held out"
    )
    for name, value in report.scores.items():
        shown = f"{value:.2%}" if name == "accuracy" else f"{value:.4g}"
        label = name.replace("_", " ")
        print(f"{report.part} {label}: {shown} ({report.samples} samples, {what})")
    if report.confusion is not None:
        print(f"\n{_confusion(report)}")
        poor = report.scores["accuracy"] <= 1.2 / len(report.classes)
        if poor and trainer.history.diagnosis is None:
            print("no better than guessing; `xpnet doctor` says what may be wrong")
    print(f"\n{_next(options)}")


def _confusion(report: Report) -> str:
    """The matrix as text; of many classes, the pairs most often confused."""
    matrix, names = report.confusion, [str(c) for c in report.classes]
    assert matrix is not None
    if len(names) > WIDE:
        wrong = matrix * ~np.eye(len(names), dtype=bool)
        worst = np.argsort(wrong, axis=None)[::-1][:10]
        pairs = [np.unravel_index(i, matrix.shape) for i in worst if wrong.flat[i]]
        lines = [
            f"  {matrix[i, j]} of {names[i]} taken for {names[j]}" for i, j in pairs
        ]
        return "\n".join(["most often confused:", *(lines or ["  none"])])
    width = max(len(str(matrix.max())), *map(len, names))
    head = " ".join(f"{name:>{width}}" for name in names)
    rows = [
        f"{name:>{width}} | " + " ".join(f"{n or '.':>{width}}" for n in row)
        for name, row in zip(names, matrix.tolist(), strict=True)
    ]
    lead = " " * (width + 3)
    return "\n".join([f"rows: the label, columns: predicted\n{lead}{head}", *rows])


def _next(options: Namespace) -> str:
    if options.save:
        return (
            f"saved in {options.save}; to use it:\n"
            f"  xpnet predict {options.save} FILE\n"
            f"  xpnet.Trainer.load({options.save!r})      in Python; it takes scaled "
            "x, see its notes"
        )
    return (
        "to keep the model and use it:\n"
        f"  xpnet train {options.data} --save my-model\n"
        "  xpnet predict my-model FILE"
    )
