"""thinc's layers and optimiser on its NumPy backend."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import thinc.api as th

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.rivals.numpy_ import eps_before_correction

PACKAGES = ("thinc",)


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """begin_update, δ of the softmax, backprop, finish_update."""
    x, y = case.data()
    layers: list[Any] = []
    for i, (n, m) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
        last = i == len(case.sizes) - 2
        layers.append(th.Linear(m, n) if last else th.Relu(m, n))
    model = th.chain(*layers)
    model.initialize(X=x)
    for layer, (W, b) in zip(layers, case.weights(), strict=True):
        layer.set_param("W", np.ascontiguousarray(W.T))
        layer.set_param("b", b)
    common = {"grad_clip": 0.0, "L2": 0.0}
    rule = (
        th.SGD(case.rate, **common)
        if case.optimizer == "sgd"
        else th.Adam(case.rate, **common)
    )
    steps = count(1)
    target = np.eye(case.sizes[-1], dtype=np.float32)[y]

    def softmax(z: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def step() -> None:
        # SGD does not read eps.
        rule.eps = th.constant(eps_before_correction(next(steps)))
        z, backprop = model.begin_update(x)
        backprop((softmax(z) - target) / len(y))
        model.finish_update(rule)

    def loss() -> float:
        p = softmax(model.predict(x).astype(np.float64))
        return float(-np.log(p[np.arange(len(y)), y]).mean())

    return step, loss
