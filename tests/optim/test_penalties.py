"""Penalties and decay touch weights alone; clipping touches every gradient."""

import math

import numpy as np
import pytest

import xpnet as xn
from xpnet.optim import OPTIMIZERS

PENALTIES = {"l1": 0.3, "l2": 0.3, "weight_decay": 0.3}


def trainer_of(optimizer, **options):
    layers = [xn.Dense(5, "tanh"), xn.BatchNorm(), xn.LayerNorm(), xn.Dense(3)]
    options = {"device": "cpu", "dtype": "float64", **options}
    trainer = xn.Trainer(
        xn.Sequential(layers), "mean_squared_error", optimizer, **options
    )
    trainer.build(4)
    return trainer


def data():
    draw = np.random.Generator(np.random.Philox(3))
    return draw.standard_normal((8, 4)), draw.standard_normal((8, 3))


def parameters(optimizer, steps=1, **options):
    """Copies of the parameters after `steps`, from values that are all 0.5."""
    trainer = trainer_of(optimizer, **options)
    for values in trainer.parameters().values():
        values[...] = 0.5 + 0.1 * np.sin(np.arange(values.size)).reshape(values.shape)
    for _ in range(steps):
        trainer.step(*data())
    return {name: values.copy() for name, values in trainer.parameters().items()}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("row", OPTIMIZERS)
def test_penalties_move_weights_and_nothing_else(row, penalty):
    common = {"learning_rate": 0.1, "weight_decay": 0.0}
    plain = parameters(OPTIMIZERS[row](**common))
    moved = parameters(OPTIMIZERS[row](**{**common, penalty: PENALTIES[penalty]}))
    for name, values in plain.items():
        if name.endswith(".W"):
            assert abs(values - moved[name]).max() > 1e-4
        else:
            assert np.array_equal(values, moved[name])


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_no_penalty_and_no_clipping_is_the_default_but_for_adamw(row):
    rule = OPTIMIZERS[row]()
    decay = 0.01 if row == "adamw" else 0.0
    assert (rule.l1, rule.l2, rule.weight_decay) == (0.0, 0.0, decay)
    assert (rule.clip_value, rule.clip_norm) == (None, None)


def step_of(optimizer, steps=1):
    """The change of each parameter, where every gradient is what `data` gives."""
    trainer = trainer_of(optimizer)
    before = {name: values.copy() for name, values in trainer.parameters().items()}
    for _ in range(steps):
        trainer.step(*data())
    change = {k: v - before[k] for k, v in trainer.parameters().items()}
    return before, {k: v.copy() for k, v in trainer.gradients().items()}, change


def test_penalties_are_their_formulas():
    before, g, change = step_of(xn.SGD(0.1, l1=0.2, l2=0.3))
    for name, p in before.items():
        penalty = 0.2 * np.sign(p) + 0.3 * p if name.endswith(".W") else 0.0
        np.testing.assert_allclose(change[name], -0.1 * (g[name] + penalty), atol=1e-15)


def test_decay_is_of_the_weight_before_the_rule():
    before, g, change = step_of(xn.SGD(0.1, weight_decay=0.3))
    for name, p in before.items():
        decay = 0.03 * p if name.endswith(".W") else 0.0
        np.testing.assert_allclose(change[name], -decay - 0.1 * g[name], atol=1e-15)


def test_a_weight_of_zero_has_no_l1_slope():
    rule = xn.SGD(0.1, l1=0.5)
    p, g = np.array([0.0, 1.0, -1.0]), np.zeros(3)
    rule.step(p, g, [], {"rate": np.full(1, 0.1)}, penalized=3)
    np.testing.assert_allclose(p, [0.0, 0.95, -0.95])


def test_clipping_by_value_limits_each_entry():
    _, g, change = step_of(xn.SGD(1.0, clip_value=0.05))
    assert max(abs(v).max() for v in g.values()) > 0.05
    for name, values in g.items():
        np.testing.assert_allclose(change[name], -np.clip(values, -0.05, 0.05))


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


def test_a_gradient_of_zero_stays_zero_under_clipping():
    rule = xn.SGD(0.1, clip_norm=1.0)
    p = np.ones(3)
    rule.step(p, np.zeros(3), [], {"rate": np.full(1, 0.1)}, penalized=0)
    assert (p == 1.0).all()


def test_gradients_are_shown_as_they_were_before_clipping():
    _, plain, _ = step_of(xn.SGD(0.1))
    _, clipped, _ = step_of(xn.SGD(0.1, clip_value=1e-3, clip_norm=1e-3, l2=1.0))
    for name, values in plain.items():
        np.testing.assert_allclose(clipped[name], values, rtol=1e-14)


def test_the_reported_loss_is_without_the_penalty():
    losses = []
    for rule in (xn.SGD(0.1), xn.SGD(0.1, l1=10.0, l2=10.0)):
        trainer = trainer_of(rule)
        trainer.step(*data())
        losses.append(trainer.loss)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("eager", [False, True])
def test_only_weights_decay_in_a_network_of_nothing_but_penalties(eager):
    """With targets equal to the outputs the gradient is 0 and decay is all there is."""
    model = xn.Sequential([xn.Dense(2)])
    trainer = xn.Trainer(
        model,
        "mean_squared_error",
        xn.AdamW(0.1, weight_decay=0.5),
        device="cpu",
        dtype="float64",
        eager=eager,
    )
    x, _ = data()
    trainer.build(4)
    start = trainer.parameters()["0.W"].copy()
    trainer.parameters()["0.b"][...] = 3.0
    trainer.step(x, x @ start + 3.0)
    np.testing.assert_allclose(trainer.parameters()["0.W"], 0.95 * start, atol=1e-7)
    np.testing.assert_allclose(trainer.parameters()["0.b"], 3.0, atol=1e-7)
