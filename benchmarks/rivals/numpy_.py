"""Hand-written NumPy: what a careful programmer writes for exactly this network.

Preallocated buffers, `out=` everywhere, one flat array of parameters, targets one-hot
beforehand, no checks, no loss.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array, Case

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
