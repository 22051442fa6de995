"""What rivals search: settings × folds of one network on the digits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array

Settings = dict[str, float]


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
