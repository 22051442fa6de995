"""Hand-written NumPy: what a careful programmer writes for exactly this network.

Preallocated buffers, `out=` everywhere, one flat array of parameters, targets one-hot
beforehand, no checks, no loss.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array, Case, Data, Learner, Task

PACKAGES = ("numpy",)
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def eps_before_correction(step: int) -> float:
    """The eps of step 1, 2, ... for a rule that adds it to √v before the correction.

    p - η √(1-β₂ᵗ)/(1-β₁ᵗ) m / (√v + eps_t) is Adam as the paper and PyTorch have it.
    """
    return EPS * math.sqrt(1 - BETA2**step)


def flat_views(case: Case, flat: Array) -> list[tuple[Array, Array]]:
    """(W, b) per layer, as views of one array."""
    views, at = [], 0
    for n, m in zip(case.sizes, case.sizes[1:], strict=False):
        W = flat[at : at + n * m].reshape(n, m)
        at += n * m
        views.append((W, flat[at : at + m]))
        at += m
    return views


class Net:
    """The network, its buffers, and one step written out."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.x, self.y = case.data()
        start = [a.ravel() for pair in case.weights() for a in pair]
        self.p: Array = np.concatenate(start)
        self.g, self.m, self.v = (np.zeros_like(self.p) for _ in range(3))
        self.t1, self.t2 = np.empty_like(self.p), np.empty_like(self.p)
        self.layers = flat_views(case, self.p)
        self.grads = flat_views(case, self.g)
        widths = case.sizes[1:]
        self.a = [np.empty((case.batch, n), np.float32) for n in widths]
        self.d = [np.empty((case.batch, n), np.float32) for n in widths]
        self.mask = [np.empty((case.batch, n), bool) for n in widths]
        self.row = np.empty((case.batch, 1), np.float32)
        self.target = np.eye(widths[-1], dtype=np.float32)[self.y]
        self.steps = 0
        self.update: Callable[[], Any] = (
            self.sgd if case.optimizer == "sgd" else self.adam
        )

    def forward(self) -> Array:
        """The logits."""
        a, last = self.x, len(self.layers) - 1
        for i, (W, b) in enumerate(self.layers):
            z = self.a[i]
            np.dot(a, W, out=z)
            np.add(z, b, out=z)
            if i < last:
                np.maximum(z, 0, out=z)
            a = z
        return a

    def backward(self, z: Array) -> None:
        """Every gradient, from the logits."""
        d = self.d[-1]
        np.maximum.reduce(z, axis=1, keepdims=True, out=self.row)
        np.subtract(z, self.row, out=d)
        np.exp(d, out=d)
        np.add.reduce(d, axis=1, keepdims=True, out=self.row)
        np.divide(d, self.row, out=d)
        np.subtract(d, self.target, out=d)
        np.multiply(d, 1 / self.case.batch, out=d)
        for i in reversed(range(len(self.layers))):
            gW, gb = self.grads[i]
            below = self.a[i - 1] if i else self.x
            np.dot(below.T, d, out=gW)
            np.add.reduce(d, axis=0, out=gb)
            if i:
                np.dot(d, self.layers[i][0].T, out=self.d[i - 1])
                d = self.d[i - 1]
                np.greater(below, 0, out=self.mask[i - 1])
                np.multiply(d, self.mask[i - 1], out=d)

    def sgd(self) -> None:
        """One step of gradient descent, p ← p - η g."""
        np.multiply(self.g, self.case.rate, out=self.t1)
        np.subtract(self.p, self.t1, out=self.p)

    def adam(self) -> None:
        """Adam's update, with its corrections in two numbers."""
        p, g, m, v, t1, t2 = self.p, self.g, self.m, self.v, self.t1, self.t2
        root = math.sqrt(1 - BETA2**self.steps)
        np.multiply(m, BETA1, out=m)
        np.multiply(g, 1 - BETA1, out=t1)
        np.add(m, t1, out=m)
        np.multiply(v, BETA2, out=v)
        np.multiply(g, g, out=t1)
        np.multiply(t1, 1 - BETA2, out=t1)
        np.add(v, t1, out=v)
        np.sqrt(v, out=t1)
        np.add(t1, EPS * root, out=t1)
        np.divide(m, t1, out=t2)
        np.multiply(t2, self.case.rate * root / (1 - BETA1**self.steps), out=t2)
        np.subtract(p, t2, out=p)

    def step(self) -> None:
        """One update."""
        self.steps += 1
        self.backward(self.forward())
        self.update()

    def loss(self) -> float:
        """The mean cross-entropy at the present weights."""
        z = self.forward().astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z).sum(axis=1))
        return float((log_sum - z[np.arange(len(z)), self.y]).mean())


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """The hand-written step."""
    net = Net(case)
    return net.step, net.loss


def prepare_products(case: Case) -> tuple[Callable[[], object], None]:
    """The floor: forward, weight-gradient and δ products; nothing else, so no loss."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    calls: list[tuple[Callable[..., object], Array, Array]] = []
    for i, (n, m) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
        a, W, d = random(case.batch, n), random(n, m), random(case.batch, m)
        calls.append((a.dot, W, np.empty((case.batch, m), np.float32)))
        calls.append((a.T.dot, d, np.empty((n, m), np.float32)))
        if i:
            calls.append((d.dot, W.T, np.empty((case.batch, n), np.float32)))

    def step() -> None:
        for product, right, out in calls:
            product(right, out)

    return step, None


class Textbook:
    """Two layers and Adam in the lines of a textbook: nothing is preallocated."""

    def __init__(self, task: Task, rng: np.random.Generator) -> None:
        self.tanh, self.rate, self.steps = task.activation == "tanh", task.rate, 0
        self.p: list[Array] = [a for pair in task.weights(rng) for a in pair]
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
    net = Textbook(task, rng)

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            for x, y in data.batches(task.batch, rng):
                net.step(x, y)

    return fit, lambda x: net.forward(x)[1].argmax(axis=1)
