"""step: one update, its loss read only when asked for, its learning rate open."""

import copy

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, OUTPUTS, SAMPLES, data, rng
from tests.training.examples import RATE, Reference, trainer, weights
from tests.ways import same


@pytest.mark.parametrize("eager", [False, True], ids=["recorded", "eager"])
def test_steps_agree_with_gradient_descent_by_hand(eager):
    x, y = data()
    t = trainer(dtype="float64", eager=eager)
    t.build(FEATURES)
    reference = Reference(t.parameters())
    for size, weighted in ((23, False), (4, True), (23, False), (1, False), (4, True)):
        w = rng(size).uniform(0.1, 3.0, size) if weighted else np.ones(size)
        t.step(x[:size], y[:size], *([w] if weighted else []))
        loss = reference.step(x[:size], y[:size], w, RATE)
        assert t.loss == pytest.approx(loss, rel=1e-12)
        for name, value in t.gradients().items():
            np.testing.assert_allclose(value, reference.gradients[name], atol=1e-13)
    for name, value in t.parameters().items():
        np.testing.assert_allclose(value, reference.parameters[name], atol=1e-12)
    assert t.steps_done == 5


@pytest.mark.parametrize("hidden", ["dense", "dropout", "batch norm"])
def test_the_loss_is_the_same_whenever_it_is_read(hidden):
    x, y = data()
    now, late = trainer(hidden), trainer(hidden)
    for t in (now, late):
        t.step(x[:6], y[:6])
        t.step(x, y)
    first = now.loss
    late.predict(x)
    late.evaluate(x[:6], y[:6])
    late.learning_rate = 0.5
    assert late.loss == first == now.loss
    assert same(weights(now), weights(late))


def test_the_loss_is_computed_only_when_it_is_read():
    x, y = data()
    t = trainer(eager=True)
    calls = []
    rows = t.loss_function.rows
    t.loss_function.rows = lambda z, target: calls.append(1) or rows(z, target)
    for _ in range(3):
        t.step(x, y)
    assert calls == []
    assert t.loss == t.loss
    assert calls == [1]


def test_the_loss_after_fit_is_that_of_its_last_batch():
    x, y = data()
    t = trainer()
    t.step(x, y)
    assert t.loss > 0.0
    history = t.fit(x, y, 1, 22, shuffle=False)
    total, last = history["loss"][0] * SAMPLES, t.loss
    other = trainer()
    other.step(x, y)
    other.step(x[:22], y[:22])
    first = other.loss
    other.step(x[22:], y[22:])
    assert last == other.loss
    assert total == pytest.approx(22 * first + other.loss, rel=1e-6)


def test_there_is_no_loss_before_the_first_step():
    with pytest.raises(ValueError, match=r"loss: no step.*call step or fit first"):
        _ = trainer().loss


def test_fit_of_one_full_batch_is_a_step():
    x, y = data()
    for hidden in ("dense", "dropout", "batch norm"):
        fitted, stepped = trainer(hidden), trainer(hidden)
        for _ in range(3):
            loss = fitted.fit(x, y, 1, None)["loss"][0]
            stepped.step(x, y)
            assert loss == pytest.approx(stepped.loss, rel=1e-6)
        assert same(weights(fitted), weights(stepped))


def test_the_learning_rate_follows_the_schedule_and_what_is_assigned():
    x, y = data()
    schedule = xn.ExponentialDecay(0.2, 4)
    t = trainer(optimizer=xn.SGD(schedule), dtype="float64")
    t.build(FEATURES)
    reference = Reference(t.parameters())
    scale = 1.0
    for step in range(12):
        if step == 6:
            t.learning_rate = 0.3
            scale = 0.3 / schedule(6)
        assert t.learning_rate == pytest.approx(scale * schedule(step), rel=1e-12)
        t.step(x, y)
        reference.step(x, y, np.ones(SAMPLES), scale * schedule(step))
    for name, value in t.parameters().items():
        np.testing.assert_allclose(value, reference.parameters[name], atol=1e-12)


def test_a_step_after_a_fit_has_its_own_learning_rate():
    x, y = data()
    t = trainer(optimizer=xn.SGD(lambda step: 0.1 if step in (0, 5) else 0.02))
    t.step(x, y)
    t.fit(x[:20], y[:20], 1, 5)
    before = {name: p.copy() for name, p in t.parameters().items()}
    steps = t.steps_done
    assert (steps, t.learning_rate) == (5, 0.1)
    t.step(x, y)
    for name, g in t.gradients().items():
        np.testing.assert_allclose(
            t.parameters()[name], before[name] - 0.1 * g, rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_learning_rate_is_above_zero(rate):
    t = trainer()
    with pytest.raises(ValueError, match=rf"learning_rate.* > 0\b.* got {rate}"):
        t.learning_rate = rate
    assert t.learning_rate == RATE


def test_parameters_are_views_under_the_names_of_their_layers():
    t = trainer("batch norm")
    t.build(FEATURES)
    shapes = {name: p.shape for name, p in t.parameters().items()}
    assert shapes == {
        "0.W": (FEATURES, 6),
        "0.b": (6,),
        "1.gain": (6,),
        "1.shift": (6,),
        "3.W": (6, OUTPUTS),
        "3.b": (OUTPUTS,),
    }
    assert {name: g.shape for name, g in t.gradients().items()} == shapes
    t.parameters()["3.b"][...] = (50.0, 0.0, 0.0)
    assert (t.predict_classes(data()[0]) == 0).all()


def test_a_snapshot_is_put_back_bit_by_bit():
    x, y = data()
    t = trainer("batch norm")
    t.fit(x, y, 1, 5)
    kept = t.snapshot()
    before = weights(t)
    t.fit(x, y, 1, 5)
    assert not same(weights(t), before)
    t.restore(kept)
    assert same(weights(t), before)


@pytest.mark.parametrize("label", [OUTPUTS, OUTPUTS + 1, -1])
def test_a_label_out_of_range_is_refused_after_good_steps_too(label):
    x, y = data()
    t = trainer()
    t.step(x, y)
    wrong = y.copy()
    wrong[3] = label
    with pytest.raises(ValueError, match=rf"y: .*labels 0\.\.2 .*got {label};"):
        t.step(x, wrong)


@pytest.mark.parametrize(("way", "rule"), [
    ({"eager": True}, xn.SGD(1e38, momentum=0.9)),
    ({"jit": True}, xn.SGD(1e38, momentum=0.9)),
    ({"jit": False}, xn.Adam(3e38, beta2=0.0)),
    ({"eager": True}, xn.SGD(0.1, gradient_noise=1e80)),
    ({"jit": False}, xn.SGD(0.1, gradient_noise=1e80)),
])  # fmt: skip
def test_a_step_that_overflows_warns_of_nothing(way, rule):
    x, y = data()
    t = trainer(optimizer=copy.deepcopy(rule), **way)
    with pytest.raises(xn.DivergenceError):
        _ = [(t.step(x, y), t.loss) for _ in range(20)]
