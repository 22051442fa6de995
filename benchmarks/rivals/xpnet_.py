"""xpnet as a user calls it: `trainer.step(x, y)`, checks and copies included."""

from collections.abc import Callable

import xpnet as xn
from xpnet.benchmarks.cases import Case

PACKAGES = ("numpy", "numba")


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """A Trainer with the case's weights."""
    x, y = case.data()
    hidden = [xn.Dense(n, activation="relu") for n in case.sizes[1:-1]]
    model = xn.Sequential([*hidden, xn.Dense(case.sizes[-1])]).build(case.sizes[0])
    rule = xn.SGD(case.rate) if case.optimizer == "sgd" else xn.Adam(case.rate)
    trainer = xn.Trainer(model, "softmax_cross_entropy", rule, device="cpu")
    parameters = trainer.parameters()
    for i, (W, b) in enumerate(case.weights()):
        parameters[f"{i}.W"][...], parameters[f"{i}.b"][...] = W, b
    return lambda: trainer.step(x, y), lambda: trainer.evaluate(x, y)["loss"]
