"""Small data, models and trainers that the tests of this room share."""

import json
from pathlib import Path
from typing import Any

import numpy as np

import xpnet as xn
from tests.cases import LAYERS, OUTPUTS, RULES

RATE = 0.1


def trainer(
    hidden: str = "dense",
    loss: Any = "softmax_cross_entropy",
    optimizer: Any = None,
    outputs: int = OUTPUTS,
    **options: Any,
) -> xn.Trainer:
    """A trainer on the CPU with SGD at `RATE` unless an optimizer is given."""
    model = xn.Sequential([*LAYERS[hidden](0), xn.Dense(outputs)])
    rule = xn.SGD(RATE) if optimizer is None else optimizer
    return xn.Trainer(model, loss, rule, **{"device": "cpu", **options})


def network(
    i: int,
    hidden: str = "dense",
    rule: Any = "sgd",
    loss: Any = "softmax_cross_entropy",
    **options: Any,
) -> xn.Trainer:
    """Network i of a stack: two and two have one seed, each has its own numbers."""
    return xn.Trainer(
        xn.Sequential([*LAYERS[hidden](i), xn.Dense(OUTPUTS)]),
        loss,
        RULES[rule](i) if isinstance(rule, str) else rule,
        **{"device": "cpu", "seed": i // 2, **options},
    )


def weights(of: xn.Trainer) -> list[np.ndarray]:
    """Copies of the parameters and the running statistics."""
    return [np.array(part) for part in of.snapshot()]


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
