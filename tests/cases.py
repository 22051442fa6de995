"""The one table of trainings: layers, losses, update rules, and what goes along.

A new layer, loss or update rule needs one row in `CASES`. Each row is trained in every
way of `tests/ways.py`. What differs from network to network of a stack is a function of
the network's number i; a network that is trained alone has number 0.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

import xpnet as xn

SAMPLES, FEATURES, OUTPUTS = 23, 5, 3
BATCH = 7


def softsign(z: Any) -> Any:
    """An activation of one's own."""
    return z / (1 + abs(z))


class Towards(xn.Transform):
    """A transform of one's own: weights are drawn towards a value that falls."""

    of_weights = True

    def __init__(self, value: float, share: float) -> None:
        self.value, self.share = value, share

    def scalars(self, rate: float, t: int) -> dict[str, float]:
        return {"now": self.value / t}

    def apply(self, p: Any, g: Any, rate: Any, **own: Any) -> Any:
        return g + self.share * (p - own["now"])


# The layers in front of the last one, from scratch each time.
LAYERS: dict[str, Callable[[int], list[xn.Layer]]] = {
    "none": lambda i: [],
    "dense": lambda i: [xn.Dense(8, "tanh")],
    "deep": lambda i: [xn.Dense(n, "relu") for n in (9, 8, 7)],
    "no bias": lambda i: [xn.Dense(8, "gelu", bias=False)],
    "activation": lambda i: [xn.Dense(6), xn.Activation("elu")],
    "own activation": lambda i: [xn.Dense(6, softsign)],
    "dropout": lambda i: [xn.Dense(8, "relu"), xn.Dropout([0.4, 0.0, 0.2][i % 3])],
    "noise": lambda i: [xn.GaussianNoise([0.3, 0.0, 0.1][i % 3]), xn.Dense(6, "silu")],
    "batch norm": lambda i: [
        xn.Dense(6),
        xn.BatchNorm(0.1 + 0.1 * i, [1e-5, 1e-3][i % 2]),
        xn.Activation("relu"),
    ],
    "layer norm": lambda i: [
        xn.Dense(6),
        xn.LayerNorm([1e-5, 1e-3][i % 2]),
        xn.Activation("relu"),
    ],
    "max norm": lambda i: [xn.Dense(6, "relu", max_norm=[0.5, None, 1.0][i % 3])],
    "smooth": lambda i: [xn.Dense(7, "sigmoid"), xn.Dense(6, "softplus")],
    "leaky": lambda i: [xn.Dense(7, "leaky_relu"), xn.Dense(6, "silu")],
    "all": lambda i: [
        xn.Flatten(),
        xn.GaussianNoise(0.1),
        xn.Dense(12, "relu"),
        xn.BatchNorm(),
        xn.Dropout(0.3),
        xn.Dense(8, bias=False),
        xn.LayerNorm(),
        xn.Activation("gelu"),
    ],
}

# (the loss of network i, what y holds).
LOSSES: dict[str, tuple[Callable[[int], Any], str]] = {
    "mean_squared_error": (lambda i: "mean_squared_error", "values"),
    "mean_absolute_error": (lambda i: "mean_absolute_error", "values"),
    "huber": (lambda i: xn.Huber([1.0, 0.5, 0.8][i % 3]), "values"),
    "binary_cross_entropy": (lambda i: "binary_cross_entropy", "binary"),
    "softmax_cross_entropy": (lambda i: "softmax_cross_entropy", "labels"),
    "smoothed": (lambda i: xn.SoftmaxCrossEntropy([0.2, 0.0, 0.1][i % 3]), "labels"),
    "shares": (lambda i: "softmax_cross_entropy", "shares"),
}

# What y holds, for each loss by its name.
TARGETS = {name: held for name, (_, held) in LOSSES.items() if name in xn.layers.LOSSES}

RULES: dict[str, Callable[[int], xn.Optimizer]] = {
    "sgd": lambda i: xn.SGD(
        0.1 / (i + 1), l1=1e-3 * (i % 2), clip_value=[None, 0.1][i % 2]
    ),
    "momentum": lambda i: xn.SGD(0.05, momentum=[0.0, 0.9][i % 2], l2=0.01 * (i % 3)),
    "nesterov": lambda i: xn.SGD(0.02, momentum=0.5 + 0.1 * i, nesterov=True),
    "adam": lambda i: xn.Adam(
        xn.Cosine(0.01 * (i + 1), 40 + i),
        beta1=0.8 + 0.03 * (i % 5),
        beta2=0.9 + 0.02 * (i % 5),
        eps=10.0 ** -(4 + i % 2),
    ),
    "adamw": lambda i: xn.AdamW(
        [0.01, xn.WarmUp(xn.StepDecay(0.01, 7), 5)][i % 2],
        weight_decay=0.1 * i,
        clip_norm=[0.5, None, 0.1][i % 3],
        eps=1e-4,
    ),
}
FIVE = tuple(RULES)
RULES |= {
    name: lambda i, kind=kind: kind(0.01 * (i + 1), l2=1e-3 * (i % 2))
    for name, kind in xn.optim.OPTIMIZERS.items() if name not in RULES
}  # fmt: skip
RULES |= {
    "noisy": lambda i: xn.SGD(0.05, gradient_noise=0.01 * (i + 1), noise_decay=0.1 * i),
    "rmsprop with all": lambda i: xn.RMSprop(
        0.01, momentum=[0.4, 0.0, 0.8][i % 3], centered=True, l1=1e-3, l2=1e-2
    ),
    "sgd with all": lambda i: xn.SGD(
        xn.ExponentialDecay(0.05, 4),
        momentum=0.9,
        l1=1e-3,
        l2=0.01,
        weight_decay=0.1,
        clip_value=0.5,
        clip_norm=0.7 + 0.1 * i,
    ),
    "transforms": lambda i: xn.SGD(
        0.05,
        l1=1e-3 * (i % 2),
        gradient_noise=0.01,
        transforms=[
            xn.ClipNorm(0.5 + 0.2 * i),
            xn.GradientNoise(0.02 * (i + 1), 0.3),
            xn.L2(0.01 * i),
            xn.WeightDecay(0.1 * i),
        ],
    ),
    "own transforms": lambda i: xn.Adam(
        0.01, l2=0.01, transforms=[np.tanh, Towards(0.1 * i, 0.1), xn.L1(1e-3)]
    ),
    "adagrad from 0.1": lambda i: xn.Adagrad(0.1, initial_accumulator_value=0.1),
}


@dataclass(frozen=True)
class Case:
    """A training: of which network, on what."""

    layers: str
    loss: str = "softmax_cross_entropy"
    rule: str = "adam"
    dtype: str = "float32"
    weighted: bool = False
    average: float | None = None  # the decay of a weight average

    @property
    def targets(self) -> str:
        """What y holds."""
        return LOSSES[self.loss][1]

    @property
    def data(self) -> Any:
        """(x, y), of several axes where the first layer is to flatten them."""
        x, y = data(self.targets)
        return x.reshape(SAMPLES, 1, FEATURES) if self.layers == "all" else x, y

    @property
    def weights(self) -> np.ndarray | None:
        """A weight for each sample, 0 among them."""
        return np.linspace(0.0, 2.0, SAMPLES) if self.weighted else None

    def trainer(self, i: int = 0, **options: Any) -> xn.Trainer:
        """Network i, on the CPU where no device is given."""
        layers = [*LAYERS[self.layers](i), xn.Dense(OUTPUTS)]
        mean = self.average
        average = None if mean is None else xn.WeightAverage(mean - 0.1 * i, start=i)
        return xn.Trainer(
            xn.Sequential(layers),
            LOSSES[self.loss][0](i),
            RULES[self.rule](i),
            **{"device": "cpu", "seed": 5 + i // 2, "dtype": self.dtype}
            | {"average": average}
            | options,
        )


CASES = {
    # Every kind of layer, with rules and losses in turn.
    "linear": Case("none", "mean_squared_error", "sgd", "float64"),
    "dense": Case("dense", weighted=True),
    "dense in float64": Case("dense", "smoothed", "adamw", "float64"),
    "deep": Case("deep", "shares", "momentum", average=0.9),
    "no bias": Case("no bias", "huber", "nesterov"),
    "activation": Case("activation", "binary_cross_entropy", "adamw"),
    "own activation": Case("own activation", "smoothed", "rmsprop", weighted=True),
    "dropout": Case("dropout"),
    "dropout in float64": Case("dropout", "huber", "sgd with all", "float64"),
    "noise": Case("noise", "mean_absolute_error", "adam", "float64"),
    "batch norm": Case("batch norm", rule="momentum", weighted=True),
    "layer norm": Case("layer norm", "binary_cross_entropy", "lion", weighted=True),
    "max norm": Case("max norm", "huber", "sgd"),
    "smooth": Case("smooth", "mean_squared_error", "nadam"),
    "leaky": Case("leaky", "softmax_cross_entropy", "radam", "float64"),
    "all": Case("all", "softmax_cross_entropy", "adam", "float64", weighted=True),
    "all, values": Case("all", "mean_squared_error", "sgd with all", average=1.0),
    "all, binary": Case("all", "binary_cross_entropy", "nesterov", weighted=True),
    # What a rule may add: penalties, clipping, gradient noise, averages.
    "sgd": Case("deep", "mean_absolute_error", "sgd", weighted=True),
    "sgd with all": Case("leaky", "softmax_cross_entropy", "sgd with all"),
    "noisy": Case("dense", "mean_squared_error", "noisy"),
    "noisy in float64": Case("noise", "smoothed", "noisy", "float64", average=0.8),
    "average": Case("dense", "huber", "adamw", average=0.5),
    "transforms": Case("dense", "smoothed", "transforms", average=0.9),
    "own transforms": Case("layer norm", "huber", "own transforms", "float64"),
    # Every other rule.
    "adagrad": Case("smooth", "binary_cross_entropy", "adagrad"),
    "adagrad from 0.1": Case("deep", "shares", "adagrad from 0.1", "float64"),
    "adadelta": Case("activation", "mean_squared_error", "adadelta"),
    "rmsprop": Case("dense", "mean_absolute_error", "rmsprop with all"),
    "amsgrad": Case("leaky", "mean_squared_error", "amsgrad", "float64"),
    "adamax": Case("layer norm", "shares", "adamax", average=0.7),
    "lion": Case("dropout", "binary_cross_entropy", "lion", "float64"),
    "radam": Case("max norm", "mean_absolute_error", "radam", weighted=True),
}


def rng(*key: int) -> np.random.Generator:
    """A generator of its own for `key`."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((78, *key))))


def data(targets: str = "labels", samples: int = SAMPLES, seed: int = 0) -> Any:
    """(x, y) with something to learn: "labels", "shares", "binary" or "values"."""
    draw = rng(seed + 1)
    x = draw.standard_normal((samples, FEATURES))
    z = x @ draw.standard_normal((FEATURES, OUTPUTS))
    y = {
        "labels": lambda: z.argmax(axis=1),
        "shares": lambda: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "binary": lambda: (z > 0.0).astype(np.float64),
        "values": lambda: np.tanh(z),
    }[targets]()
    return x, y


def in_turns(rows: Iterable[Any], *columns: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Each of `rows` with the next of each column, which begins again at its end."""
    return list(zip(rows, *map(cycle, columns), strict=False))
