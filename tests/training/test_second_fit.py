"""What a second fit does in Python before its first update: calls, not seconds."""

import sys
from types import CodeType

import numpy as np
import pytest

import xpnet as xn
from xpnet.compiler import c as native
from xpnet.execution.c_steps import Epochs, Steps
from xpnet.execution.steps import StepBlock

SAMPLES, BATCH, FEATURES = 32, 32, 8
FIRST = {one.__code__ for one in (Steps.run, Epochs.run, StepBlock._call)}
C = pytest.param(True, marks=pytest.mark.skipif(not native.available(), reason="no C"))
JIT = pytest.mark.parametrize("jit", [False, C])
RULES = pytest.mark.parametrize("rule", [xn.SGD, xn.Adam])


def calls(function, *arguments, **options):
    """Python functions that it calls before the first step."""
    found: list[CodeType] = []
    over = False

    def note(frame, event, argument):
        nonlocal over
        over = over or (event == "call" and frame.f_code in FIRST)
        if event == "call" and not over:
            found.append(frame.f_code)

    sys.setprofile(note)
    try:
        function(*arguments, **options)
    finally:
        sys.setprofile(None)
    assert over
    return len(found)


def stack_of(networks, jit, rule):
    return xn.Stack(
        [
            xn.Trainer(
                xn.Sequential([xn.Dense(16, "relu"), xn.Dense(3)]),
                "softmax_cross_entropy",
                rule(0.01 * (i + 1)),
                device="cpu",
                seed=i,
                jit=jit,
            )
            for i in range(networks)
        ]
    )


def data():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    return x, rng.integers(0, 3, SAMPLES)


def second_fit(networks, jit, rule):
    stack, (x, y) = stack_of(networks, jit, rule), data()
    stack.fit(x, y, 2, BATCH, verbose=False)
    return calls(stack.fit, x, y, 2, BATCH, verbose=False)


@RULES
@JIT
def test_a_second_fit_of_a_stack_calls_little(jit, rule):
    """Checks that depend on shapes and settings have been made in the first fit."""
    assert second_fit(5, jit, rule) <= 235


@RULES
@JIT
def test_a_network_more_adds_few_calls(jit, rule):
    """Its place, its history, its values, its order, its numbers; no settings again."""
    assert second_fit(7, jit, rule) - second_fit(5, jit, rule) <= 2 * 11
