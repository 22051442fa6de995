"""The learning rate of a Trainer: its schedule step by step, and setting it."""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.optim.test_schedules import EXAMPLES
from xpnet.optim import SCHEDULES, Cosine, StepDecay


def trainer_of(optimizer):
    """One weight and one bias from 0; gradients are -1 while the target is far."""
    model = xn.Sequential([xn.Dense(1, initializer="zeros")])
    trainer = xn.Trainer(model, "mean_absolute_error", optimizer, "cpu", "float64")
    trainer.build(1)
    return trainer


ONES, FAR = np.ones((4, 1)), np.full((4, 1), 1e3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_trainer_applies_the_schedule_step_by_step(name):
    schedule, _ = EXAMPLES[name]
    trainer, bias = trainer_of(xn.SGD(schedule)), 0.0
    for t in range(50):
        assert trainer.learning_rate == schedule(t)
        trainer.step(ONES, FAR)
        bias += schedule(t)
        assert float(trainer.parameters()["0.b"][0]) == pytest.approx(bias, rel=1e-12)


def test_a_step_is_a_batch_not_an_epoch():
    trainer = trainer_of(xn.SGD(StepDecay(0.4, 2)))
    x, y = np.ones((5, 1)), np.full((5, 1), 1e3)
    history = trainer.fit(x, y, epochs=2, batch_size=2, verbose=False)
    expected = 2 * (0.4 + 0.2 + 0.1)  # three batches an epoch
    assert float(trainer.parameters()["0.b"][0]) == pytest.approx(expected, rel=1e-12)
    assert history["learning_rate"] == pytest.approx([0.2, 0.1])


def test_setting_the_rate_scales_the_rest_of_the_schedule():
    trainer = trainer_of(xn.SGD(StepDecay(0.4, 2)))
    trainer.learning_rate = 0.04
    for rate in (0.04, 0.04, 0.02, 0.02, 0.01):
        assert trainer.learning_rate == pytest.approx(rate, rel=1e-12)
        before = float(trainer.parameters()["0.b"][0])
        trainer.step(ONES, FAR)
        moved = float(trainer.parameters()["0.b"][0]) - before
        assert moved == pytest.approx(rate, rel=1e-12)


def test_a_rate_can_be_set_after_the_schedule_came_to_zero():
    trainer = trainer_of(xn.SGD(Cosine(0.1, 2)))
    for _ in range(3):
        trainer.step(ONES, FAR)
    assert trainer.learning_rate == 0.0
    before = float(trainer.parameters()["0.b"][0])
    trainer.step(ONES, FAR)
    assert float(trainer.parameters()["0.b"][0]) == before
    trainer.learning_rate = 0.1
    assert trainer.learning_rate == pytest.approx(0.1)


def test_an_impossible_rate_is_refused():
    trainer = trainer_of(xn.SGD(0.1))
    for rate in (0.0, -0.1, math.nan, math.inf, "fast", None):
        with pytest.raises((ValueError, TypeError), match=r"learning_rate: .*got"):
            trainer.learning_rate = rate
    assert trainer.learning_rate == 0.1
