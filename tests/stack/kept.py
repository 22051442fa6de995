"""Stacks that have programs, and what shows that they keep them."""

import copy

import pytest

import xpnet as xn
from tests.cases import data
from tests.stack.examples import BATCH, MEMBERS
from tests.training.examples import network
from tests.ways import everything, rows, same
from xpnet.compiler import c as native

X, Y = data()


C = pytest.param(True, marks=pytest.mark.skipif(not native.available(), reason="no C"))


JIT = pytest.mark.parametrize("jit", [False, C])


def stack_of(jit, hidden="dropout", rule="adam", members=MEMBERS, **options):
    return xn.Stack(
        [network(i, hidden, rule, jit=jit, **options) for i in range(members)]
    )


def fitted(stack, **options):
    """Losses of each network after three epochs."""
    how = {"rows": [rows(i) for i in range(len(stack))], "batch_size": BATCH, **options}
    x, y = how.pop("x", X), how.pop("y", Y)
    found = stack.fit(x, y, 3, verbose=False, **how)
    return [[row["loss"] for row in history.rows] for history in found]


def fresh(stack):
    """Another stack of equal networks, which has no programs."""
    trainers = [copy.deepcopy(trainer) for trainer in stack.trainers]
    for old, new in zip(stack.trainers, trainers, strict=True):
        new.jit = old.jit
    return xn.Stack(trainers)


def assert_as_fresh(stack, tapes=None, **options):
    """It goes on as a stack that has no programs; `tapes` says what it records."""
    other = fresh(stack)
    if tapes is not None:
        tapes.clear()
    found = fitted(stack, **options), stack.predict(X), stack.evaluate(X, Y)
    recorded = len(tapes or ())
    assert found[0] == fitted(other, **options)
    for a, b in zip(stack.trainers, other.trainers, strict=True):
        assert same(everything(a), everything(b))
    assert same(found[1], other.predict(X))
    assert found[2] == other.evaluate(X, Y)
    return recorded
