"""Stacks for the tests of this room, and the networks trained one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np

import xpnet as xn
from tests.cases import FEATURES, data
from tests.training.examples import network
from tests.ways import assert_close, assert_same_curves, everything, rows
from xpnet.stack.kept import Kept
from xpnet.stack.network import Network
from xpnet.stack.placement import group_of

MEMBERS, BATCH = 5, 7
MSE = "mean_squared_error"
Make = Callable[..., xn.Trainer]


def of(hidden: str = "dense", rule: Any = "sgd", **options: Any) -> Make:
    """Makes network i."""
    return lambda i, **more: network(i, hidden, rule, **options, **more)


def at_rates(rates: list[float], hidden: str = "dense") -> Make:
    """Makes networks of plain descent at these rates."""
    return lambda i, **more: network(i, hidden, xn.SGD(rates[i]), MSE, **more)


def data_for(trainer: xn.Trainer) -> Any:
    """x, and what y the loss wants."""
    return data("values" if trainer.loss_function.targets == "values" else "labels")


def fitted(make: Make, members: int = MEMBERS, epochs: int = 9, **options: Any) -> Any:
    """(stack, histories); networks see `rows`, samples of their own by default."""
    how = {"rows": [rows(i) for i in range(members)], "batch_size": BATCH, **options}
    stack = xn.Stack([make(i) for i in range(members)])
    return stack, stack.fit(*data_for(stack[0]), epochs, verbose=False, **how)


def alone(make: Make, i: int, own: Any, epochs: int = 9, **options: Any) -> Any:
    """(network i, its history) of a training by itself on the samples `own`."""
    how = {"batch_size": BATCH, **options}
    trainer, w = make(i), how.get("sample_weight")
    x, y = (part[own] for part in data_for(trainer))
    how["sample_weight"] = None if w is None else w[own]
    how["batch_size"] = how["batch_size"] and min(how["batch_size"], len(own))
    if how.get("memory") is not None:
        del how["memory"]
    try:
        trainer.fit(x, y, epochs, verbose=False, **how)
    except xn.DivergenceError as error:
        trainer.history.stopped = f"diverged: {error}"  # as a stack says it
    return trainer, trainer.history


def assert_alike(found: Any, wanted: Any, tolerance: float = 0.0) -> None:
    """Two trainings of networks: all that they have changed, and their curves."""
    for a, b, one, other in zip(found[0], wanted[0], found[1], wanted[1], strict=True):
        assert_close(everything(a), everything(b), tolerance)
        assert_same_curves(one, other, 10 * tolerance)


def assert_as_alone(make: Make, tolerance: float = 1e-12, **options: Any) -> Any:
    """Each network of a stack is the one trained alone; the stack and its histories."""
    found = fitted(make, **options)
    members = len(found[0])
    own = options.pop("rows", [rows(i) for i in range(members)])
    options.pop("members", None)
    every = [alone(make, i, own[i] if own else np.arange(23), **options)
             for i in range(members)]  # fmt: skip
    assert_alike(found, tuple(zip(*every, strict=True)), tolerance)
    return found


def recorded_group(
    trainers: list[xn.Trainer], samples: Any, count: int, size: int
) -> Any:
    """The group of these networks, each on `count` samples."""
    for trainer in trainers:
        trainer.build(FEATURES)
    members = [Network(t, np.arange(count)) for t in trainers]
    group = group_of(members, Kept(), samples, size, True)
    group.record()
    return group


def in_c(make: Make) -> Make:
    """Makes networks whose steps run in C."""
    return lambda i: make(i, jit=True)
