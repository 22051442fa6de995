"""What `xpnet train` prints before and after a training."""

import json
import shlex
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.commands.preparation import Prepared
from xpnet.common import printable
from xpnet.common.arrays import NDArray
from xpnet.common.plain import plain
from xpnet.training.trainer import Trainer

SHARES = ("accuracy", "binary_accuracy", "exact_match")  # shown in per cent
WIDE = 20  # classes above which a confusion matrix no longer fits a terminal


@dataclass
class Report:
    """Scores on one part of the data.

    Attributes:
        part: "test", or "training" if nothing was held out.
        samples: their number.
        scores: metric -> value.
        confusion: counts (label, predicted), or None for regression.
        classes: the names of the labels 0, 1, ....
    """

    part: str
    samples: int
    scores: dict[str, float]
    confusion: NDArray | None
    classes: tuple[Any, ...]


def announce(prepared: Prepared) -> None:
    """Print the parts, the device, the target and the network before a training."""
    data, parts, trainer = prepared.data, prepared.parts, prepared.trainer
    backend = trainer.backend
    why = f" ({backend.reason.partition(';')[0]})" if backend.reason else ""
    sizes = [
        f"{len(part[0])} {what}"
        for part, what in (
            (parts.train, "to train on"),
            (parts.validation, "to choose on"),
            (parts.test, "to test on"),
        )
        if part is not None
    ]
    trainer.build(data.x.shape[1:])
    print(f"{printable(data.name)}: {', '.join(sizes)}; {backend.device}{why}")
    print(f"y: {data.taken}")
    print(f"{trainer.model.summary()}\n{trainer.loss_function}, {trainer.optimizer}")
    if data.task == "regression":
        print("y is standardised while training: the table is in its deviations")
    print()


def print_json(record: dict[str, Any], indent: int | None = 2) -> None:
    """Print one JSON object; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(plain(record), indent=indent, allow_nan=False))


def print_report(report: Report, trainer: Trainer, options: Namespace) -> None:
    """Print the scores, the confusion matrix and the next command."""
    epoch = trainer.history.best_epoch
    if trainer.history.monitor == "val_loss" and epoch is not None:
        print(f"\nweights of the best epoch, {epoch}")
    held = report.part == "test"
    what = (
        "never trained or chosen on" if held else "the ones trained on; none held out"
    )
    for name, value in report.scores.items():
        shown = f"{value:.2%}" if name in SHARES else f"{value:.4g}"
        label = name.replace("_", " ")
        print(f"{report.part} {label}: {shown} ({report.samples} samples, {what})")
    if report.confusion is not None:
        print(f"\n{_confusion(report)}")
        poor = report.scores["accuracy"] <= 1.2 / len(report.classes)
        if poor and trainer.history.diagnosis is None:
            print("no better than guessing; to find out what may be wrong:")
            print(f"  {_again('doctor', options)}")
    print(f"\n{next_steps(options)}")


def _confusion(report: Report) -> str:
    """The matrix as text; for many classes, the pairs most often confused."""
    matrix, names = report.confusion, [printable(str(c)) for c in report.classes]
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


def next_steps(options: Namespace) -> str:
    """How to use the model, or how to keep it: commands to paste."""
    if not options.save:
        return (
            "to keep the model and use it:\n"
            f"  {_again('train', options)} --save my-model\n"
            f"  {predict_line('my-model')}"
        )
    text = f"saved in {printable(options.save)}; to use it:\n"
    text += f"  {predict_line(options.save)}\n"
    if getattr(options, "ensemble", None):
        return text + f"  xpnet.Ensemble.load({options.save!r})      in Python"
    return (
        f"{text}  xpnet.Trainer.load({options.save!r})      in Python; it takes scaled "
        "x, see its notes"
    )


def predict_line(folder: str) -> str:
    """The command that predicts with the model in `folder`."""
    return f"xpnet predict {printable(shlex.quote(folder))} FILE"


def _again(command: str, options: Namespace) -> str:
    """The given arguments as the arguments of `command`."""
    rest = list(options.arguments[1:])
    if command == "doctor" and "--ensemble" in rest:  # the doctor looks at one network
        at = rest.index("--ensemble")
        del rest[at : at + 2]
    return printable(shlex.join(["xpnet", command, *rest]))
