"""Small data and makers of networks that the tests of this room share."""

from typing import Any

import numpy as np

import xpnet as xn

SAMPLES, FEATURES, CLASSES = 47, 4, 3


def data(samples: int = SAMPLES, regression: bool = False, seed: int = 0) -> Any:
    """(x, y) with something to learn, in units that need scaling."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, FEATURES)) * [1.0, 50.0, 0.01, 3.0] + [0, 100, 5, -2]
    z = (x - x.mean(0)) / x.std(0) @ rng.normal(size=(FEATURES, CLASSES))
    if regression:
        return x, 40.0 + 7.0 * np.tanh(z[:, :2])
    y = z.argmax(axis=1)
    y[: 2 * CLASSES] = np.arange(2 * CLASSES) % CLASSES
    return x, y


def make(
    learning_rate: float = 0.01,
    l2: float = 0.0,
    hidden: int = 6,
    dropout: float = 0.0,
    momentum: float = 0.0,
    seed: int = 0,
) -> xn.Trainer:
    """A classifier."""
    layers = [xn.Dense(hidden, "tanh"), xn.Dropout(dropout), xn.Dense(CLASSES)]
    return xn.Trainer(
        xn.Sequential(layers), "softmax_cross_entropy",
        xn.SGD(learning_rate, momentum=momentum, l2=l2), "cpu", "float64", seed,
    )  # fmt: skip


def make_regression(learning_rate: float = 0.01, seed: int = 0) -> xn.Trainer:
    """A regression of two numbers."""
    layers = [xn.Dense(5, "tanh"), xn.Dense(2)]
    return xn.Trainer(
        xn.Sequential(layers), "mean_squared_error", xn.Adam(learning_rate), "cpu",
        "float64", seed,
    )  # fmt: skip


QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 8, "verbose": False}
