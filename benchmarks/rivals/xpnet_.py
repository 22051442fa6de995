"""xpnet as a user calls it: `trainer.step(x, y)`, checks and copies included."""

from collections.abc import Callable

import xpnet as xn
from xpnet.benchmarks.cases import Case

PACKAGES = ("numpy", "numba")
Prepared = tuple[Callable[[], object], Callable[[], float], Callable[[], str]]


def prepare(case: Case, jit: bool | None = None) -> Prepared:
    """A Trainer with the case's weights."""
    x, y = case.data()
    hidden = [xn.Dense(n, activation="relu") for n in case.sizes[1:-1]]
    model = xn.Sequential([*hidden, xn.Dense(case.sizes[-1])]).build(case.sizes[0])
    rule = xn.SGD(case.rate) if case.optimizer == "sgd" else xn.Adam(case.rate)
    trainer = xn.Trainer(model, "softmax_cross_entropy", rule, device="cpu", jit=jit)
    parameters = trainer.parameters()
    for i, (W, b) in enumerate(case.weights()):
        parameters[f"{i}.W"][...], parameters[f"{i}.b"][...] = W, b

    def state() -> str:
        step = trainer.newest
        compiled = step is not None and step.replay is not None and step.replay.compiled
        return "loops compiled" if compiled else "NumPy calls, loops not compiled"

    def loss() -> float:
        return trainer.evaluate(x, y)["loss"]

    return lambda: trainer.step(x, y), loss, state
