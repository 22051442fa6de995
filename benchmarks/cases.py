"""What rivals run: one step of a net, a whole training, a search."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Settings = dict[str, float]
# (fit(epochs), predict(x)): the predictions are labels (samples,).
Learner = tuple[Callable[[int], None], Callable[[Array], Array]]
RATES = {"sgd": 0.01, "adam": 1e-3}


@dataclass(frozen=True)
class Case:
    """A ReLU network with softmax cross-entropy on one fixed batch, for a step.

    Data and weights are bit-identical for every rival.

    Attributes:
        sizes: widths, input first.
        batch: samples.
        optimizer: "sgd" (rate 0.01, no momentum) or "adam" (0.001, see `rate`).
    """

    sizes: tuple[int, ...]
    batch: int
    optimizer: str

    @property
    def net(self) -> str:
        """Its name, "784-128-10, 128"."""
        return f"{'-'.join(map(str, self.sizes))}, {self.batch}"

    @property
    def rate(self) -> float:
        """The learning rate.

        Adam's is 1e-4 in nets wider than 1000: with 1e-3 their loss first rises, and
        20 such steps magnify rounding to more than the check of losses allows.
        """
        wide = self.optimizer == "adam" and max(self.sizes[1:]) > 1000
        return RATES[self.optimizer] * (0.1 if wide else 1.0)

    def data(self) -> tuple[Array, Array]:
        """x (batch, n_in) float32, y (batch,) int64."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.batch, self.sizes[0])).astype(np.float32)
        return x, rng.integers(0, self.sizes[-1], self.batch)

    def weights(self) -> list[tuple[Array, Array]]:
        """(W, b) per layer: He's normal weights, biases of 0."""
        rng = np.random.default_rng(2)
        return [
            (
                (rng.standard_normal((n, m)) * np.sqrt(2 / n)).astype(np.float32),
                np.zeros(m, np.float32),
            )
            for n, m in pairwise(self.sizes)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Case":
        """The case that `to_dict` described."""
        return cls(tuple(values["sizes"]), values["batch"], values["optimizer"])


NETS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((2, 3, 2), 4),
    ((64, 32, 10), 32),
    ((784, 128, 10), 128),
    ((784, 512, 512, 10), 256),
    ((2048, 2048, 2048, 2048, 10), 1024),
)


def cases(
    optimizers: tuple[str, ...] = ("sgd", "adam"),
    nets: tuple[int, ...] = tuple(range(len(NETS))),
) -> list[Case]:
    """The nets of these numbers with each of the update rules."""
    return [Case(*NETS[i], rule) for i in nets for rule in optimizers]


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


@dataclass(frozen=True)
class Study:
    """A grid over Adam's learning rate and the penalty of a 64-hidden-10 ReLU network.

    Attributes:
        rates, penalties: values of learning_rate and l2.
        folds: number of stratified folds.
        hidden, epochs, batch: units, passes and batch size of every network.
    """

    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    penalties: tuple[float, ...] = (0.0, 1e-5, 1e-4, 1e-3)
    folds: int = 5
    hidden: int = 64
    epochs: int = 30
    batch: int = 64

    @property
    def settings(self) -> list[Settings]:
        """Every combination."""
        return [
            {"learning_rate": rate, "l2": l2}
            for rate in self.rates
            for l2 in self.penalties
        ]

    @property
    def what(self) -> str:
        """The study in words."""
        return (
            f"{len(self.settings)} settings × {self.folds} folds of 64-{self.hidden}-10"
            f" on digits, {self.epochs} epochs, batch {self.batch}"
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Study":
        """The study of these fields; lists become tuples."""
        typed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**typed)

    def write_data(self, file: Path, seed: int) -> None:
        """Write the digits and the folds; every rival loads them."""
        from xpnet.data import datasets
        from xpnet.selection import k_folds

        x, y = datasets.digits()
        arrays: dict[str, Any] = {"x": x / 16, "y": y}
        for i, (train, test) in enumerate(
            k_folds(len(y), self.folds, stratify=y, seed=seed)
        ):
            arrays |= {f"train{i}": train, f"test{i}": test}
        np.savez(file, **arrays)


@dataclass(frozen=True)
class Digits:
    """x (samples, 64) float32 in [0, 1], y (samples,) int64, and (train, test) rows."""

    x: Array
    y: Array
    folds: list[tuple[Array, Array]]

    @classmethod
    def read(cls, file: str) -> "Digits":
        """Read what `Study.write_data` wrote."""
        with np.load(file) as arrays:
            count = sum(name.startswith("train") for name in arrays.files)
            folds = [(arrays[f"train{i}"], arrays[f"test{i}"]) for i in range(count)]
            return cls(arrays["x"], arrays["y"], folds)
