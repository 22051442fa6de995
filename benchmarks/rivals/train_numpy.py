"""Hand-written NumPy trains a network: the textbook's lines, nothing preallocated."""

from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.tasks import Data, Learner, Task

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Net:
    """Two layers and Adam."""

    def __init__(self, task: Task, rng: np.random.Generator) -> None:
        self.tanh, self.rate, self.steps = task.activation == "tanh", task.rate, 0
        self.p: list[Array] = []
        for n, m in zip(task.sizes, task.sizes[1:], strict=False):
            W = rng.standard_normal((n, m)) * np.sqrt((1 if self.tanh else 2) / n)
            self.p += [W.astype(np.float32), np.zeros(m, np.float32)]
        self.m: list[Any] = [np.zeros_like(p) for p in self.p]
        self.v: list[Any] = [np.zeros_like(p) for p in self.p]

    def forward(self, x: Array) -> tuple[Array, Array]:
        """(hidden layer, logits)."""
        z = x @ self.p[0] + self.p[1]
        a = np.tanh(z) if self.tanh else np.maximum(z, 0)
        return a, a @ self.p[2] + self.p[3]

    def step(self, x: Array, y: Array) -> None:
        """One update."""
        a, z = self.forward(x)
        d = np.exp(z - z.max(axis=1, keepdims=True))
        d /= d.sum(axis=1, keepdims=True)
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        back = d @ self.p[2].T * (1 - a * a if self.tanh else a > 0)
        self.update([x.T @ back, back.sum(axis=0), a.T @ d, d.sum(axis=0)])

    def update(self, gradients: list[Array]) -> None:
        """Adam."""
        self.steps += 1
        root = float(np.sqrt(1 - BETA2**self.steps))
        rate = self.rate * root / (1 - BETA1**self.steps)
        for i, g in enumerate(gradients):
            self.m[i] = BETA1 * self.m[i] + (1 - BETA1) * g
            self.v[i] = BETA2 * self.v[i] + (1 - BETA2) * g * g
            self.p[i] -= rate * self.m[i] / (np.sqrt(self.v[i]) + EPS * root)


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of the hand-written network."""
    rng = np.random.default_rng(seed)
    net = Net(task, rng)

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            order = rng.permutation(len(data.x))
            for at in range(0, len(order), task.batch):
                rows = order[at : at + task.batch]
                net.step(data.x[rows], data.y[rows])

    return fit, lambda x: net.forward(x)[1].argmax(axis=1)
