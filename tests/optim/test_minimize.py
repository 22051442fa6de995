"""`xpnet.minimize`: full-batch methods on a Trainer."""

import math
import os
import signal

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.standin import standin_backend
from xpnet.optim import MINIMIZERS, Iterate, Minimizer

SAMPLES = 60


def line():
    draw = np.random.Generator(np.random.Philox(21))
    x = draw.standard_normal((SAMPLES, 4))
    y = x @ draw.standard_normal((4, 2)) + [1.0, -2.0]
    return x, y + 0.3 * draw.standard_normal(y.shape)


def curved():
    x, y = line()
    return x, np.tanh(y)


def trainer_of(layers, **options):
    options = {"device": "cpu", "dtype": "float64", **options}
    return xn.Trainer(xn.Sequential(layers), "mean_squared_error", **options)


def linear(**options):
    return trainer_of([xn.Dense(2)], **options)


def network(*more, **options):
    return trainer_of([xn.Dense(5, "tanh"), *more, xn.Dense(2)], **options)


def solution(x, y, weights=None, l2=0.0):
    """Minimum of Σ wᵢ |yᵢ - f(xᵢ)|² / (2 Σ w) + ½ l2 |W|², bias free of it."""
    w = np.full(len(x), 1.0) if weights is None else weights
    w = w / w.sum()
    a = np.c_[x, np.ones(len(x))]
    decay = l2 * np.diag([*np.ones(x.shape[1]), 0.0])
    # The loss is the mean over outputs too: a factor of 2 / outputs on both terms.
    return np.linalg.solve(a.T @ (w[:, None] * a) + decay, a.T @ (w[:, None] * y))


def assert_solved(trainer, wanted, atol):
    p = trainer.parameters()
    found = np.r_[np.asarray(p["0.W"]), np.asarray(p["0.b"])[None]]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [("float64", 1e-8), ("float32", 1e-5)])
def test_a_regression_ends_at_least_squares(dtype, atol):
    x, y = line()
    weights = np.linspace(0.0, 2.0, SAMPLES)
    for eager, w in ((False, None), (True, weights), (False, weights)):
        trainer = linear(dtype=dtype, eager=eager)
        method = xn.LBFGS(tolerance=1e-10)
        history = xn.minimize(trainer, x, y, method, sample_weight=w)
        assert_solved(trainer, solution(x, y, w), atol)
        assert history is trainer.history
        assert history["loss"][-1] == pytest.approx(trainer.loss, rel=1e-6)
        loss = trainer.evaluate(x, y, w)["loss"]
        assert loss == pytest.approx(trainer.loss, rel=1e-6)
        ends = {"float64": "no entry of the gradient exceeds 1e-10"}
        assert ends.get(dtype, "rounding") in history.stopped
        assert history["evaluations"][-1] < 150


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_l2_is_ridge_regression_that_spares_the_bias(l2):
    x, y = line()
    trainer = linear()
    history = xn.minimize(trainer, x, y, xn.LBFGS(tolerance=1e-10), l2=l2)
    wanted = solution(x, y, l2=l2)  # the mean over two outputs halves both terms
    assert_solved(trainer, wanted, 1e-8)
    w = wanted[:-1]
    penalty = 0.5 * l2 * float((w * w).sum())
    assert history["objective"][-1] == pytest.approx(history["loss"][-1] + penalty)
    assert history["loss"][-1] == pytest.approx(trainer.evaluate(x, y)["loss"])


def test_a_network_ends_where_its_gradient_is_zero():
    x, y = curved()
    trainer = network()
    method = xn.LBFGS(tolerance=1e-7)
    history = xn.minimize(trainer, x, y, method, steps=2000, l2=1e-3)
    assert "exceeds 1e-07" in history.stopped
    for name, g in trainer.gradients().items():
        penalty = 1e-3 * trainer.parameters()[name] if name.endswith("W") else 0.0
        assert abs(g).max() > 1e-5 or name.endswith("b")
        np.testing.assert_allclose(g, -penalty, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("method", "dtype", "tolerance"),
    in_turns(MINIMIZERS, ["float64", "float32"], [1e-9, 1e-3]),
)
def test_a_device_does_as_the_cpu(method, dtype, tolerance, standin):
    x, y = curved()
    found = []
    for device in ("cpu", standin_backend(1)):
        trainer = network(xn.BatchNorm(), device=device, dtype=dtype)
        history = xn.minimize(trainer, x, y, method, steps=5, l2=0.01)
        arrays = map(trainer.backend.to_numpy, trainer.snapshot())
        found.append([*arrays, np.array(history["loss"]), trainer.predict(x)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", MINIMIZERS)
def test_the_loss_falls_and_the_history_says_so(method):
    x, y = curved()
    trainer = network()
    trainer.build(4)
    before = trainer.evaluate(x, y)["loss"]
    history = xn.minimize(trainer, x, y, method, steps=10, validation=(x, y))
    assert 0 < len(history) <= 10
    losses = history["loss"]
    assert all(b <= a for a, b in zip([before, *losses], losses, strict=False))
    assert losses[-1] < before
    assert history["val_loss"] == pytest.approx(losses, rel=1e-9)
    assert history.monitor == "val_loss"
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(losses[-1], rel=1e-9)
    assert (np.diff(history["evaluations"]) > 0).all()
    assert trainer.epochs_done == len(history)
    assert trainer.steps_done == 0
    assert "evaluations" in str(history)
    steps = history["learning_rate"]
    assert all(map(math.isnan if method != "lbfgs" else (lambda s: s > 0.0), steps))
    normed = network(xn.BatchNorm())  # its loss is that of training
    history = xn.minimize(normed, x, y, method, steps=3)
    assert history["loss"][-1] == pytest.approx(normed.loss, rel=1e-12)
    assert normed.loss != pytest.approx(normed.evaluate(x, y)["loss"], rel=1e-6)


@pytest.mark.parametrize("method", ["random", "grid", "genetic"])
def test_l1_is_part_of_what_a_search_minimises(method):
    x, y = curved()
    trainer = network()
    history = xn.minimize(trainer, x, y, method, steps=3, l1=0.5)
    w = [v for k, v in trainer.parameters().items() if k.endswith("W")]
    penalty = 0.5 * sum(float(abs(v).sum()) for v in w)
    assert history["objective"][-1] == pytest.approx(history["loss"][-1] + penalty)


class Guesses(Minimizer):
    """Stays where it is, and looks aside or not."""

    def __init__(self, aside):
        self.aside = aside

    def iterate(self, objective, start):
        for i in range(4):
            value, _g = objective.slope(start)
            if self.aside:
                objective.value(start + 10.0 * i)
            yield Iterate(start, value)


def test_guesses_leave_no_trace():
    """In running statistics, weights and the loss of the trainer."""
    x, y = curved()
    quiet, guessing = (network(xn.BatchNorm()) for _ in range(2))
    guessing.build(4)
    before = {k: v.copy() for k, v in guessing.parameters().items()}
    xn.minimize(quiet, x, y, Guesses(False), steps=3)
    history = xn.minimize(guessing, x, y, Guesses(True), steps=3)
    assert abs(quiet.snapshot()[1]).max() > 0.0
    for a, b in zip(quiet.snapshot(), guessing.snapshot(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, values in guessing.parameters().items():
        np.testing.assert_array_equal(values, before[name])
    assert guessing.loss == history["loss"][-1]


def test_early_stopping_puts_the_best_weights_back_and_fit_goes_on():
    x, y = curved()
    xv = np.random.Generator(np.random.Philox(5)).standard_normal(x.shape)
    yv = np.tanh(xv[:, :2])
    trainer = network(optimizer=xn.SGD(0.01))
    stop = xn.EarlyStopping(patience=3)
    history = xn.minimize(
        trainer, x, y, steps=500, validation=(xv, yv), callbacks=[stop]
    )
    assert history.stopped.startswith("val_loss has not improved")
    best = min(history["val_loss"])
    assert trainer.evaluate(xv, yv)["loss"] == pytest.approx(best, rel=1e-12)
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=5, batch_size=None, verbose=False)
    assert trainer.evaluate(x, y)["loss"] <= before
    again = xn.minimize(trainer, x, y, steps=20)
    assert again["loss"][-1] < before


class _Fails(Minimizer):
    """Two good iterations, then an error far away from the best point."""

    def iterate(self, objective, start):
        yield Iterate(start, objective.value(start))
        yield Iterate(start + 0.5, objective.value(start + 0.5))
        objective.value(start + 99.0)
        raise KeyboardInterrupt


def test_an_error_leaves_the_weights_of_the_last_iteration():
    x, y = curved()
    trainer = network()
    trainer.build(4)
    before = {k: v.copy() for k, v in trainer.parameters().items()}
    with pytest.raises(KeyboardInterrupt):
        xn.minimize(trainer, x, y, _Fails())
    for name, values in trainer.parameters().items():
        np.testing.assert_allclose(values, before[name] + 0.5, rtol=1e-15)


@pytest.mark.parametrize("verbose", [True, False])
def test_ctrl_c_ends_after_the_iteration(capsys, verbose):
    class Press(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if len(trainer.history) == 3:
                os.kill(os.getpid(), signal.SIGINT)

    history = xn.minimize(
        network(), *curved(), steps=50, callbacks=Press(), verbose=verbose
    )
    assert history.stopped == "interrupted after iteration 3"
    shown = capsys.readouterr()
    if verbose:
        assert "stopped: interrupted" in shown.out
        assert len(shown.out.splitlines()) == 5
    else:
        wanted = "minimize: interrupted after iteration 3; returning\n"
        assert (shown.out, shown.err) == ("", wanted)


def infinite():
    trainer = linear()
    trainer.build(4)
    trainer.parameters()["0.W"][0, 0] = math.nan
    return trainer


def refusing(make=linear, method="lbfgs", **options):
    return lambda: xn.minimize(make(), *line(), method, **options)


BAD = [
    (refusing(lambda: network(xn.Dropout(0.5))), r"layer 1 \(Dropout\) draws anew"),
    (refusing(lambda: network(xn.GaussianNoise(0.1))), r"\(GaussianNoise\) draws anew"),
    (refusing(method="random", l1=-1), "expected l1 >= 0, got -1"),
    (refusing(method="random", l2=-1), "expected l2 >= 0, got -1"),
    (refusing(l1=0.1), "l1: LBFGS needs a gradient everywhere"),
    (refusing(steps=0), "steps: expected a whole number >= 1"),
    (refusing(steps=1.5), "steps: expected a whole number >= 1"),
    (refusing(infinite), "objective is nan at the start"),
    (lambda: linear(optimizer="lbfgs"), r"use xpnet.minimize\(trainer, x, y, 'lbfgs'"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_what_cannot_be_minimised_is_refused(call, message):
    with pytest.raises((ValueError, xn.DivergenceError), match=message):
        call()


def test_refused_data_leave_an_unbuilt_model_unbuilt():
    x, y = line()
    trainer = linear()
    with pytest.raises(ValueError, match="y: expected"):
        xn.minimize(trainer, x, y[:-1])
    assert trainer.model.sample_shape is None
    xn.minimize(trainer, x[:, :3], y, steps=2)
