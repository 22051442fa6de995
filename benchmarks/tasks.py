"""Whole trainings that rivals do from the start of a process to its end."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xpnet.benchmarks.cases import Array


@dataclass(frozen=True)
class Task:
    """A network of one hidden layer to be trained with Adam and softmax cross-entropy.

    Attributes:
        name: "xor", "digits" or "accuracy".
        what: it in words.
        sizes: widths, input first.
        activation: of the hidden layer, "tanh" or "relu".
        rate: Adam's learning rate.
        batch: samples a step.
        epochs: passes over the data; the most there may be where `target` is set.
        target: validation accuracy at which training ends, or None.
    """

    name: str
    what: str
    sizes: tuple[int, int, int]
    activation: str
    rate: float
    batch: int
    epochs: int
    target: float | None = None

    def write_data(self, file: Path) -> None:
        """x, y to train on and xv, yv to validate on, so that all load the same."""
        from xpnet.data import datasets, split

        if self.name == "xor":
            x, y = datasets.xor()
            xv, yv = x, y
        else:
            x, y = datasets.digits()
            (x, y), (xv, yv) = split(x / 16, y, (0.8, 0.2), stratify=True)
        np.savez(file, x=x, y=y, xv=xv, yv=yv)


@dataclass(frozen=True)
class Data:
    """x (samples, n_in) float32 and y (samples,) int64, xv and yv to validate on."""

    x: Array
    y: Array
    xv: Array
    yv: Array

    @classmethod
    def read(cls, file: str) -> "Data":
        """What `Task.write_data` wrote."""
        with np.load(file) as arrays:
            return cls(**{name: arrays[name] for name in ("x", "y", "xv", "yv")})


XOR = Task("xor", "XOR, 2-3-2, batch 4, 2,000 steps", (2, 3, 2), "tanh", 0.01, 4, 2000)
DIGITS = Task(
    "digits",
    "digits, 64-64-10, batch 32, 10 epochs",
    (64, 64, 10),
    "relu",
    1e-3,
    32,
    10,
)
ACCURACY = Task(
    "accuracy",
    "digits, 64-64-10, batch 32, to 97% validation accuracy",
    (64, 64, 10),
    "relu",
    1e-3,
    32,
    200,
    0.97,
)
TASKS = {task.name: task for task in (XOR, DIGITS, ACCURACY)}
