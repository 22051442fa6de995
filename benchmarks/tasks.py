"""Whole trainings: what is trained, and one rival's training in its own process.

The worker prints {"seconds", "epochs", "accuracy", "version"}; `seconds` runs from
building the network to its last step, without imports.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.cases import Array

# (fit(epochs), predict(x)): the predictions are labels (samples,).
Learner = tuple[Callable[[int], None], Callable[[Array], Array]]


@dataclass(frozen=True)
class Task:
    """A network of one hidden layer, trained with Adam and softmax cross-entropy.

    Attributes:
        name: "xor", "digits" or "accuracy".
        what: the task in words.
        sizes: widths, input first.
        activation: of the hidden layer, "tanh" or "relu".
        rate: Adam's learning rate.
        batch: samples per step.
        epochs: passes over the data; with a `target`, the largest number of them.
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

    def weights(self, rng: np.random.Generator) -> list[tuple[Array, Array]]:
        """(W, b) per layer: normal weights of variance 1/n (tanh) or 2/n (ReLU)."""
        gain = 1 if self.activation == "tanh" else 2
        return [
            (
                (rng.standard_normal((n, m)) * np.sqrt(gain / n)).astype(np.float32),
                np.zeros(m, np.float32),
            )
            for n, m in pairwise(self.sizes)
        ]

    def write_data(self, file: Path) -> None:
        """Write x, y to train on and xv, yv to validate on; every rival loads them."""
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
        """Read what `Task.write_data` wrote."""
        with np.load(file) as arrays:
            return cls(**{name: arrays[name] for name in ("x", "y", "xv", "yv")})

    def batches(
        self, size: int, rng: np.random.Generator
    ) -> Iterator[tuple[Array, Array]]:
        """(x, y) batch by batch, in a random order."""
        order = rng.permutation(len(self.x))
        for at in range(0, len(order), size):
            rows = order[at : at + size]
            yield self.x[rows], self.y[rows]


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


def train(module: Any, task: Task, data: Data, seed: int) -> Answer:
    """Train until the epochs are done or the target is reached."""
    began = time.perf_counter()
    fit, predict = module.learner(task, data, seed)
    if task.target is None:
        fit(task.epochs)
        seconds, epochs = time.perf_counter() - began, task.epochs
        accuracy = float((predict(data.xv) == data.yv).mean())
        return {"seconds": seconds, "epochs": epochs, "accuracy": accuracy}
    for epoch in range(1, task.epochs + 1):
        fit(1)
        accuracy = float((predict(data.xv) == data.yv).mean())
        if accuracy >= task.target:
            seconds = time.perf_counter() - began
            return {"seconds": seconds, "epochs": epoch, "accuracy": accuracy}
    return {"failed": f"{accuracy:.4f} after {task.epochs} epochs"}


def serve(name: str, task: str, file: str, seed: str) -> Served:
    """Train the network of one rival; the answer is the greeting."""
    module = importlib.import_module(f"xpnet.benchmarks.rivals.{name}_")
    answer = train(module, TASKS[task], Data.read(file), int(seed))
    package: Any = importlib.import_module(name)
    return answer | {"version": str(package.__version__)}, None
