"""Penalties and decay touch weights alone; clipping touches every gradient."""

import math

import numpy as np
import pytest

import xpnet as xn
from xpnet.optim import OPTIMIZERS


def trainer_of(optimizer, **options):
    layers = [xn.Dense(5, "tanh"), xn.BatchNorm(), xn.LayerNorm(), xn.Dense(3)]
    options = {"device": "cpu", "dtype": "float64", **options}
    trainer = xn.Trainer(
        xn.Sequential(layers), "mean_squared_error", optimizer, **options
    )
    trainer.build(4)
    return trainer


DRAW = np.random.Generator(np.random.Philox(3))
X, Y = DRAW.standard_normal((8, 4)), DRAW.standard_normal((8, 3))


def step_of(optimizer):
    """(parameters before a step, gradients, changes), by name."""
    trainer = trainer_of(optimizer)
    for values in trainer.parameters().values():
        values[...] = 0.5 + 0.1 * np.sin(np.arange(values.size)).reshape(values.shape)
    before = {name: values.copy() for name, values in trainer.parameters().items()}
    trainer.step(X, Y)
    change = {k: v - before[k] for k, v in trainer.parameters().items()}
    return before, {k: v.copy() for k, v in trainer.gradients().items()}, change


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_penalties_are_none_by_default_and_move_weights_alone(row):
    rule = OPTIMIZERS[row]()
    decay = 0.01 if row == "adamw" else 0.0
    assert (rule.l1, rule.l2, rule.weight_decay) == (0.0, 0.0, decay)
    assert (rule.clip_value, rule.clip_norm) == (None, None)
    common = {"learning_rate": 0.1, "weight_decay": 0.0}
    _, _, plain = step_of(OPTIMIZERS[row](**common))
    for penalty in ("l1", "l2", "weight_decay"):
        _, _, moved = step_of(OPTIMIZERS[row](**{**common, penalty: 0.3}))
        for name, values in plain.items():
            if name.endswith(".W"):
                assert abs(values - moved[name]).max() > 1e-4
            else:
                assert np.array_equal(values, moved[name])


def test_penalties_decay_and_clipping_are_their_formulas():
    before, g, change = step_of(xn.SGD(0.1, l1=0.2, l2=0.3))
    _, _, decayed = step_of(xn.SGD(0.1, weight_decay=0.3))  # before the rule
    for name, p in before.items():
        weight = p if name.endswith(".W") else 0.0 * p
        wanted = -0.1 * (g[name] + 0.2 * np.sign(weight) + 0.3 * weight)
        np.testing.assert_allclose(change[name], wanted, atol=1e-15)
        wanted = -0.03 * weight - 0.1 * g[name]
        np.testing.assert_allclose(decayed[name], wanted, atol=1e-15)
    _, g, change = step_of(xn.SGD(1.0, clip_value=0.05))
    assert max(abs(v).max() for v in g.values()) > 0.05
    for name, values in g.items():
        wanted = -np.clip(values, -0.05, 0.05)
        np.testing.assert_allclose(change[name], wanted, rtol=1e-12)


def norm(arrays):
    return math.sqrt(sum(float((a * a).sum()) for a in arrays.values()))


@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_clipping_by_norm_keeps_the_direction_over_all_parameters(limit):
    _, g, change = step_of(xn.SGD(1.0, clip_norm=limit))
    assert norm(g) > 0.1
    assert norm(change) == pytest.approx(min(limit, norm(g)), rel=1e-12)
    scale = min(limit / norm(g), 1.0)
    for name, values in g.items():
        np.testing.assert_allclose(change[name], -scale * values, atol=1e-14)


def test_a_weight_and_a_gradient_of_zero_stay():
    for rule, moved in ((xn.SGD(0.1, l1=0.5), 0.05), (xn.SGD(0.1, clip_norm=1.0), 0)):
        p = np.array([0.0, 1.0, -1.0])
        rule.step(p, np.zeros(3), [], {"rate": np.full(1, 0.1)}, penalized=3)
        np.testing.assert_allclose(p, [0.0, 1.0 - moved, moved - 1.0])


def test_gradients_and_loss_are_shown_without_clipping_and_penalties():
    plain, other = (
        trainer_of(xn.SGD(0.1)),
        trainer_of(xn.SGD(0.1, clip_value=1e-3, clip_norm=1e-3, l1=10.0, l2=10.0)),
    )
    for trainer in (plain, other):
        trainer.step(X, Y)
    assert plain.loss == other.loss
    for name, values in plain.gradients().items():
        np.testing.assert_allclose(other.gradients()[name], values, rtol=1e-14)
