"""PyTorch searches a grid: all networks as one torch.func.vmap ensemble."""

import math
from typing import Any

import numpy as np
import torch

from xpnet.benchmarks.cases import Array, Digits, Study

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def initial(study: Study, members: int) -> list[Any]:
    """W, b, V, c of every network: He before the ReLU, Glorot after it."""
    hidden, std = study.hidden, math.sqrt(2.0 / (study.hidden + 10))
    return [
        torch.randn(members, 64, hidden) * math.sqrt(2.0 / 64),
        torch.zeros(members, hidden),
        torch.randn(members, hidden, 10) * std,
        torch.zeros(members, 10),
    ]


def outputs(params: Any, x: Any) -> Any:
    """The logits of one network."""
    w, b, v, c = params
    return torch.relu(x @ w + b) @ v + c


def objective(params: Any, x: Any, y: Any) -> Any:
    """The mean loss of one network."""
    return torch.nn.functional.cross_entropy(outputs(params, x), y)


class Adam:
    """Adam on all networks at once, with a rate and a penalty per network."""

    def __init__(self, params: list[Any], rates: Any, penalties: Any) -> None:
        self.params, self.rates, self.penalties = params, rates, penalties
        self.m = [torch.zeros_like(p) for p in params]
        self.v = [torch.zeros_like(p) for p in params]
        self.t = 0

    def step(self, grads: Any) -> None:
        """One update in place."""
        self.t += 1
        root = math.sqrt(1.0 - BETA2**self.t)
        rates = self.rates * (root / (1.0 - BETA1**self.t))
        for p, g, m, v in zip(self.params, grads, self.m, self.v, strict=True):
            shape = (-1,) + (1,) * (p.ndim - 1)
            if p.ndim == 3:  # weights, not biases
                g = g + self.penalties.view(shape) * p
            m.mul_(BETA1).add_(g, alpha=1.0 - BETA1)
            v.mul_(BETA2).addcmul_(g, g, value=1.0 - BETA2)
            p.sub_(rates.view(shape) * m / (v.sqrt() + EPS * root))


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting.

    Folds of unequal size leave out a random sample, so that all batches are equal.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    networks = [(s, fold) for s in study.settings for fold in data.folds]
    rates = torch.tensor([s["learning_rate"] for s, _ in networks])
    penalties = torch.tensor([s["l2"] for s, _ in networks])
    params = initial(study, len(networks))
    rule = Adam(params, rates, penalties)
    slopes = torch.func.vmap(torch.func.grad(objective))
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    count = min(len(train) for train, _ in data.folds)
    for _ in range(study.epochs):
        lines = [rng.permutation(train)[:count] for _, (train, _) in networks]
        order: Any = torch.from_numpy(np.stack(lines))
        for rows in order.split(study.batch, dim=1):
            rule.step(slopes(tuple(params), x[rows], y[rows]))
    return _scores(study, data, params)


def _scores(study: Study, data: Digits, params: list[Any]) -> list[float]:
    every: Any = torch.func.vmap(outputs, in_dims=(0, None))
    with torch.no_grad():
        best: Array = every(tuple(params), torch.from_numpy(data.x)).argmax(-1).numpy()
    k = len(data.folds)
    right = [
        (best[i][data.folds[i % k][1]] == data.y[data.folds[i % k][1]]).mean()
        for i in range(len(best))
    ]
    return [float(np.mean(right[i : i + k])) for i in range(0, len(right), k)]
