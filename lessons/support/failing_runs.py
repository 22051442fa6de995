"""Failing runs: trainings with one known problem, to try remedies on.

The problem is the only one: without it the same training does well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xpnet.data import datasets
from xpnet.layers import Activation, Dense, Layer, Sequential
from xpnet.optim import SGD, Adam, Optimizer, WeightAverage
from xpnet.training.callbacks import Callback
from xpnet.training.trainer import Trainer

Parts = tuple[list[Any], list[Any]]  # x and y, each to train, to choose and to test on
CHOOSE, TEST = 100, 500  # samples held out


def noisy_digits(seed: int, train: int = 200, wrong: float = 0.0) -> Parts:
    """Digits scaled to 0 to 1; a fraction `wrong` of the training labels is random."""
    (x, y), rng = datasets.digits(), np.random.default_rng(seed)
    rows = rng.permutation(len(x))[: train + CHOOSE + TEST]
    lost = (rng.random(len(rows)) < wrong) & (np.arange(len(rows)) < train)
    y = np.where(lost, rng.integers(0, 10, len(rows)), y[rows])
    return _parts(x[rows] / 16, y, train)


def plane(
    seed: int,
    weights: Sequence[float] = (1.0,) * 5,
    train: int = 60,
    error: float = 1.0,
    twins: int = 0,
    size: ArrayLike = 1.0,
    wild: float = 0.0,
) -> Parts:
    """y = x w + a normal error, over normal features.

    Args:
        seed: of every random number.
        weights: w.
        train: samples to train on.
        error: the standard deviation of the error.
        twins: copies of each feature, with an error of standard deviation 0.3.
        size: factor of each feature, or one for all.
        wild: scale of Cauchy errors on the training targets.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(train + CHOOSE + TEST, len(weights)))
    y = x @ np.asarray(weights) + error * rng.normal(size=len(x))
    y[:train] += wild * rng.standard_cauchy(train)
    near = [x + 0.3 * rng.normal(size=x.shape) for _ in range(twins)]
    return _parts(np.hstack([x, *near]) * size, y[:, None], train)


def _parts(x: Any, y: Any, train: int) -> Parts:
    cuts = [train, train + CHOOSE]
    return np.split(x, cuts), np.split(y, cuts)


@dataclass(frozen=True)
class FailingRun:
    """A training with a problem; a remedy changes some of its fields.

    Attributes:
        data: from a seed to the three parts.
        layers: all but the last, which is linear.
        rule, epochs, batch, callbacks, average: as for `Trainer` and `fit`.
        scaler: of the inputs, fitted on the training part.
    """

    data: Callable[[int], Parts]
    layers: Sequence[Layer] = ()
    rule: Optimizer = SGD(0.02)  # noqa: RUF009 (it has no state)
    epochs: int = 100
    batch: int = 20
    callbacks: Sequence[Callback] = ()
    average: WeightAverage | None = None
    scaler: Any = None

    def with_remedy(self, **remedy: Any) -> "FailingRun":
        """The same run with other values for these fields."""
        return replace(self, **remedy)

    def loss(self, seed: int) -> float:
        """The loss after training, on the test part.

        Cross-entropy for labels, mean squared error for numbers.
        """
        (x, xv, xt), (y, yv, yt) = self.data(seed)
        if self.scaler is not None:
            x, xv, xt = map(self.scaler.fit(x).transform, (x, xv, xt))
        labels = y.ndim == 1
        model = Sequential([*self.layers, Dense(10 if labels else 1)]).copy()
        kind = "softmax_cross_entropy" if labels else "mean_squared_error"
        trainer = Trainer(
            model, kind, self.rule, "cpu", seed=seed, average=self.average
        )
        held = (xv, yv) if self.callbacks else None
        trainer.fit(x, y, self.epochs, self.batch, held, self.callbacks, verbose=False)
        return trainer.evaluate(xt, yt)["loss"]


def wide(*before: Layer, behind: Sequence[Layer] = (), **options: Any) -> list[Layer]:
    """One layer of 128 rectified units, enough to memorise 200 digits."""
    return [*before, Dense(128, activation="relu", **options), *behind]


def deep(
    activation: str, initializer: str, norm: Callable[[], Layer] | None = None
) -> list[Layer]:
    """Six layers of 32 units, each normalised before its activation by `norm`."""
    layers: list[Layer] = []
    for _ in range(6):
        middle = [] if norm is None else [norm()]
        layers += [Dense(32, initializer=initializer), *middle]
        layers.append(Activation(activation))
    return layers


FEW, MANY = (2.0, -2.0, 2.0) + 47 * (0.0,), tuple(0.3 * np.sin(np.arange(1, 51)))
DIGITS = FailingRun(partial(noisy_digits, train=500), rule=SGD(0.1), epochs=30)
ZEROS = [Dense(32, activation="tanh", initializer="zeros") for _ in range(2)]
FAILING_RUNS = {
    "3 of 50 features matter": FailingRun(partial(plane, weights=FEW)),
    "50 features, 60 samples": FailingRun(partial(plane, weights=MANY, error=2.0)),
    "2 of 20 trios matter": FailingRun(partial(plane, weights=FEW[1:21], twins=2)),
    "30% of labels random": FailingRun(
        partial(noisy_digits, wrong=0.3), wide(), Adam(2e-3), epochs=300
    ),
    "six sigmoid layers": DIGITS.with_remedy(layers=deep("sigmoid", "glorot_uniform")),
    "six layers, small weights": DIGITS.with_remedy(layers=deep("tanh", "normal")),
    "all weights 0 at first": DIGITS.with_remedy(layers=ZEROS),
    "a feature 100 times smaller": FailingRun(partial(plane, size=(1, 1, 1, 1, 0.01))),
    "single samples": FailingRun(
        partial(plane, train=400), rule=SGD(0.1), epochs=20, batch=1
    ),
    "wild errors": FailingRun(partial(plane, train=400, wild=3.0), epochs=20),
}
