"""ReduceOnPlateau: the rate that waits for a curve to stall."""

import numpy as np
import pytest

import xpnet as xn
from xpnet.optim import Cosine

STILL = np.zeros((4, 1))


def trainer_of(rate=0.4):
    """A network that is right from the start: its loss is 0 and stays there."""
    model = xn.Sequential([xn.Dense(1, initializer="zeros")])
    trainer = xn.Trainer(model, "mean_squared_error", xn.SGD(rate), device="cpu")
    trainer.build(1)
    return trainer


def rates_for(curve, callback, monitor="loss", rate=0.4):
    """The learning rate after each epoch of a made-up curve."""
    trainer, rates = trainer_of(rate), []
    callback.on_fit_begin(trainer)
    for value in curve:
        callback.on_epoch_end(trainer, {monitor: value})
        rates.append(trainer.learning_rate)
    return rates


def test_the_rate_is_halved_each_time_the_curve_stalls():
    curve = [5, 4, 4, 4, 4, 4, 3, 3, 3]
    rates = rates_for(curve, xn.ReduceOnPlateau("loss", patience=2))
    expected = [0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05]
    assert rates == pytest.approx(expected)


def test_an_improving_curve_keeps_the_rate():
    rates = rates_for(range(20, 0, -1), xn.ReduceOnPlateau("loss", patience=1))
    assert rates == pytest.approx([0.4] * 20)


def test_a_rising_curve_of_accuracy_improves():
    callback = xn.ReduceOnPlateau("val_accuracy", patience=1)
    rates = rates_for([0.1, 0.2, 0.3, 0.2], callback, "val_accuracy")
    assert rates == pytest.approx([0.4, 0.4, 0.4, 0.2])


def test_an_improvement_below_min_delta_is_none():
    callback = xn.ReduceOnPlateau("loss", patience=1, min_delta=0.5)
    assert rates_for([5.0, 4.6, 4.4], callback) == pytest.approx([0.4, 0.2, 0.2])


def test_factor_and_floor():
    callback = xn.ReduceOnPlateau("loss", factor=0.1, patience=1, min_rate=0.01)
    rates = rates_for([1, 1, 1, 1], callback)
    assert rates == pytest.approx([0.4, 0.04, 0.01, 0.01])


def test_a_rate_below_the_floor_is_not_raised():
    callback = xn.ReduceOnPlateau("loss", patience=1, min_rate=0.5)
    assert rates_for([1, 1, 1], callback) == pytest.approx([0.4, 0.4, 0.4])


def test_fit_halves_the_rate_when_the_loss_stalls():
    trainer = trainer_of()
    callback = xn.ReduceOnPlateau("loss", patience=2)
    history = trainer.fit(
        STILL, STILL, epochs=7, batch_size=2, callbacks=callback, verbose=False
    )
    # Rows are written before callbacks act: the third epoch's callback shows in the
    # fourth row.
    expected = [0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    assert history["learning_rate"] == pytest.approx(expected)


def test_a_second_fit_starts_to_wait_anew():
    trainer, callback = trainer_of(), xn.ReduceOnPlateau("loss", patience=2)
    for _ in range(3):
        trainer.fit(
            STILL, STILL, epochs=2, batch_size=4, callbacks=callback, verbose=False
        )
    assert trainer.learning_rate == pytest.approx(0.4)


def test_a_schedule_that_has_come_to_zero_is_left_there():
    trainer = trainer_of(Cosine(0.1, 2))
    callback = xn.ReduceOnPlateau("loss", patience=1)
    trainer.fit(STILL, STILL, epochs=6, batch_size=4, callbacks=callback, verbose=False)
    assert trainer.learning_rate == 0.0


def test_a_misspelt_curve_gives_the_nearest():
    with pytest.raises(ValueError, match=r"no curve 'los'.*did you mean 'loss'"):
        rates_for([1], xn.ReduceOnPlateau("los"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "0 < factor < 1, got 1.0"),
        ({"factor": 0.0}, "0 < factor < 1, got 0.0"),
        ({"patience": 0}, "patience >= 1, a whole number; got 0"),
        ({"min_delta": -0.1}, "min_delta >= 0, got -0.1"),
        ({"min_rate": -0.1}, "min_rate >= 0, got -0.1"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=f"ReduceOnPlateau: expected {message}"):
        xn.ReduceOnPlateau(**arguments)
