"""The cases that every rival runs: nets, data and weights, bit-identical."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
RATES = {"sgd": 0.01, "adam": 1e-3}


@dataclass(frozen=True)
class Case:
    """A ReLU network with softmax cross-entropy on one fixed batch.

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
            for n, m in zip(self.sizes, self.sizes[1:], strict=False)
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
