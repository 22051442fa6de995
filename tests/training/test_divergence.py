"""When numbers run away: which step and layer, why, and nothing is spoilt."""

import re

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, SAMPLES, data
from tests.training.examples import trainer
from tests.training.test_callbacks import Log
from tests.ways import curves, same
from xpnet.compiler import can_compile


class Overflow(xn.Layer):
    """Overflows float32 forward or backward."""

    def __init__(self, where):
        self.where = where

    def forward(self, x, training):
        return x * 1e30 * 1e30 if self.where == "forward" else x

    def backward(self, delta):
        return delta * 1e30 * 1e30 if self.where == "backward" else delta


def diverged(t, *args, **options):
    """The message of the DivergenceError, one line."""
    with pytest.raises(xn.DivergenceError) as caught:
        t.fit(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


C = pytest.param(
    {"jit": True}, marks=pytest.mark.skipif(not can_compile(), reason="no C compiler")
)


@pytest.mark.parametrize("mode", [{"jit": False}, {"eager": True}, C], ids=str)
@pytest.mark.parametrize("hidden", ["deep", "dropout", "batch norm"])
def test_a_learning_rate_that_explodes_spoils_nothing(hidden, mode):
    x, y = data("values")
    log = Log([])
    t = trainer(hidden, "mean_squared_error", xn.SGD(200.0), **mode)
    message = diverged(t, x, y, 500, None, callbacks=[log])
    steps = t.steps_done
    assert 1 <= steps == len(t.history) < 500  # a full batch is a step an epoch
    assert re.search(rf"at step {steps + 1}: (the loss|a gradient) is ", message)
    assert re.search(
        r"first seen in (layer \d \(\w+\)|the loss); likely cause: ", message
    )
    assert "a learning rate of 20 instead of 200" in message
    assert log.log[-1] == ("log", "end")
    assert same([np.array(part) for part in t.snapshot()], log.weights[-1])
    assert all(np.isfinite(p).all() for p in t.parameters().values())
    again = trainer(hidden, "mean_squared_error", xn.SGD(200.0))
    assert message == diverged(again, x, y, 500, None)  # however it is run
    again = trainer(hidden, "mean_squared_error", xn.SGD(200.0))
    assert curves(again.fit(x, y, steps, None)) == curves(t.history)


@pytest.mark.parametrize("eager", [False, True], ids=["recorded", "eager"])
def test_the_layer_that_overflows_is_named(eager):
    x, y = data()
    for where, what, place, cause in (
        ("forward", "the loss is nan", "layer 1 (Overflow)", "its output overflows"),
        (
            "backward",
            "a gradient is not finite",
            "layer 0 (Dense)",
            "overflows in ∂J/∂",
        ),
    ):
        layers = [xn.Dense(4), Overflow(where), xn.Dense(3)]
        t = xn.Trainer(
            xn.Sequential(layers), "softmax_cross_entropy", "sgd", "cpu", eager=eager
        )
        t.build(FEATURES)
        before = [np.array(part) for part in t.snapshot()]
        message = diverged(t, x, y, 3, 5)
        assert "diverged at step 1: " + what in message
        assert f"first seen in {place}; likely cause: " in message
        assert cause in message
        assert same([np.array(part) for part in t.snapshot()], before)
        assert len(t.history) == t.steps_done == t.epochs_done == 0


def test_a_parameter_that_is_not_finite_is_named():
    x, y = data()
    t = trainer("deep")
    t.build(FEATURES)
    t.parameters()["2.b"][1] = np.nan
    message = diverged(t, x, y, 1, 5)
    assert "first seen in layer 2 (Dense); likely cause: its b is no longer" in message


def test_targets_too_far_away_are_named():
    x, y = data("values")
    message = diverged(trainer("none", "mean_squared_error"), x, y + 1e25, 1, 5)
    assert "the loss is inf; first seen in the loss; likely cause: the out" in message


def test_the_epochs_before_the_bad_one_are_kept():
    x, y = data("values")
    t = trainer("none", "mean_squared_error", xn.SGD(2.0))
    diverged(t, x, y, 500, 5)
    assert len(t.history) == t.epochs_done == t.steps_done // 5 > 1
    assert np.isfinite(t.history["loss"]).all()
    assert t.predict(x).shape == (SAMPLES, 3)


def test_a_loss_that_is_read_tells_of_divergence_every_time():
    x, y = data("values")
    t = trainer("none", "mean_squared_error")
    t.step(x, y)
    t.step(x, y + 1e25)
    for _ in range(2):
        with pytest.raises(xn.DivergenceError, match=r"diverged at step 2: the loss"):
            _ = t.loss
    assert t.steps_done == 2


def test_large_but_finite_inputs_are_no_divergence():
    x, y = data()
    t = trainer("none", dtype="float32")
    t.step(np.float32(1e25) * x.astype(np.float32), y)
    assert np.isfinite(t.loss)
