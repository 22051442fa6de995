"""Small data, models and trainers that the tests of this room share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xpnet as xn

SAMPLES, FEATURES, OUTPUTS = 23, 5, 3
RATE = 0.1

# The layers in front of the last one, from scratch each time.
HIDDEN: dict[str, Callable[[], list[xn.Layer]]] = {
    "none": lambda: [],
    "dense": lambda: [xn.Dense(8, activation="tanh")],
    "deep": lambda: [xn.Dense(n, activation="relu") for n in (9, 8, 7)],
    "no bias": lambda: [xn.Dense(8, activation="gelu", bias=False)],
    "activation": lambda: [xn.Dense(6), xn.Activation("elu")],
    "own activation": lambda: [xn.Dense(6, activation=lambda z: z / (1 + abs(z)))],
    "dropout": lambda: [xn.Dense(8, activation="relu"), xn.Dropout(0.4)],
    "noise": lambda: [xn.GaussianNoise(0.3), xn.Dense(6, activation="silu")],
    "batch norm": lambda: [xn.Dense(6), xn.BatchNorm(), xn.Activation("relu")],
    "layer norm": lambda: [xn.Dense(6), xn.LayerNorm(), xn.Activation("relu")],
}

# What y holds, for each loss.
TARGETS: dict[str, str] = {
    "mean_squared_error": "values",
    "mean_absolute_error": "values",
    "huber": "values",
    "binary_cross_entropy": "binary",
    "softmax_cross_entropy": "labels",
}

OPTIMIZERS: dict[str, Callable[[], xn.Optimizer]] = {
    "sgd": lambda: xn.SGD(0.1),
    "momentum": lambda: xn.SGD(0.05, momentum=0.9, l1=1e-3, clip_value=0.2),
    "nesterov": lambda: xn.SGD(0.05, momentum=0.9, nesterov=True, l2=0.01),
    "adam": lambda: xn.Adam(xn.Cosine(0.01, 40)),
    "adamw": lambda: xn.AdamW(xn.WarmUp(xn.StepDecay(0.01, 7), 5), clip_norm=0.5),
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


def trainer(
    hidden: str = "dense",
    loss: Any = "softmax_cross_entropy",
    optimizer: Any = None,
    outputs: int = OUTPUTS,
    **options: Any,
) -> xn.Trainer:
    """A trainer on the CPU with SGD at `RATE` unless an optimizer is given."""
    model = xn.Sequential([*HIDDEN[hidden](), xn.Dense(outputs)])
    rule = xn.SGD(RATE) if optimizer is None else optimizer
    return xn.Trainer(model, loss, rule, **{"device": "cpu", **options})


def weights(of: xn.Trainer) -> list[np.ndarray]:
    """Copies of the parameters and the running statistics."""
    return [np.array(part) for part in of.snapshot()]


def same(a: Any, b: Any) -> bool:
    """Whether two lists of arrays (or dicts of them) are equal bit by bit."""
    if isinstance(a, dict):
        return list(a) == list(b) and same(list(a.values()), list(b.values()))
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(map(np.asarray, a), map(np.asarray, b), strict=True)
    )


def curves(history: xn.History) -> list[dict[str, float]]:
    """The rows of the history without what a clock says."""
    clock = ("seconds", "samples_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in history]


def as_first_format(directory: Path, *without: str) -> None:
    """Rewrite the description as the first xpnet did, and without these entries."""
    file = directory / "model.json"
    whole = json.loads(file.read_bytes()) | {"format": 1}
    for key in ("checksums", "kind", "settings"):
        del whole[key]

    def cut(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: cut(v) for k, v in part.items() if k not in without}
        return [cut(v) for v in part] if isinstance(part, list) else part

    file.write_text(json.dumps(cut(whole), indent=2, sort_keys=True) + "\n")


def softmax(z: np.ndarray) -> np.ndarray:
    """Rows that sum to 1."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Reference:
    """x -> tanh(x W + b) V + c with softmax cross-entropy, by hand in float64."""

    def __init__(self, parameters: dict[str, np.ndarray]) -> None:
        copies = {name: np.array(p, np.float64) for name, p in parameters.items()}
        self.parameters = copies
        self.gradients: dict[str, np.ndarray] = {}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The last layer's z."""
        p = self.parameters
        self.h = np.tanh(x @ p["0.W"] + p["0.b"])
        return self.h @ p["1.W"] + p["1.b"]

    def losses(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-ln p(label) of each sample."""
        return -np.log(softmax(self.logits(x))[np.arange(len(y)), y])

    def step(self, x: np.ndarray, y: np.ndarray, w: np.ndarray, rate: float) -> float:
        """One step of gradient descent; the loss before it."""
        p, share = self.parameters, w / max(w.sum(), 1e-30)
        loss = float((self.losses(x, y) * share).sum())
        delta = (softmax(self.logits(x)) - np.eye(OUTPUTS)[y]) * share[:, None]
        below = (delta @ p["1.W"].T) * (1.0 - self.h**2)
        self.gradients = {
            "0.W": x.T @ below,
            "0.b": below.sum(axis=0),
            "1.W": self.h.T @ delta,
            "1.b": delta.sum(axis=0),
        }
        for name, gradient in self.gradients.items():
            p[name] = p[name] - rate * gradient
        return loss
