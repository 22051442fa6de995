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


WATCHED = {  # options, the curve, the rates after its epochs
    "halved each time it stalls": (
        {"patience": 2},
        [5, 4, 4, 4, 4, 4, 3, 3, 3],
        [0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05],
    ),
    "an improving curve": ({"patience": 1}, range(20, 0, -1), [0.4] * 20),
    "a rising accuracy": (
        {"monitor": "val_accuracy", "patience": 1},
        [0.1, 0.2, 0.3, 0.2],
        [0.4, 0.4, 0.4, 0.2],
    ),
    "less than min_delta": (
        {"patience": 1, "min_delta": 0.5},
        [5.0, 4.6, 4.4],
        [0.4, 0.2, 0.2],
    ),
    "factor and floor": (
        {"factor": 0.1, "patience": 1, "min_rate": 0.01},
        [1, 1, 1, 1],
        [0.4, 0.04, 0.01, 0.01],
    ),
    "below the floor": ({"patience": 1, "min_rate": 0.5}, [1, 1, 1], [0.4] * 3),
}


@pytest.mark.parametrize("name", WATCHED)
def test_the_rate_follows_the_curve(name):
    options, curve, rates = WATCHED[name]
    options = {"monitor": "loss", **options}
    found = rates_for(curve, xn.ReduceOnPlateau(**options), options["monitor"])
    assert found == pytest.approx(rates)


def fitted(trainer, callback, epochs):
    return trainer.fit(STILL, STILL, epochs, 2, callbacks=callback, verbose=False)


def test_fit_halves_the_rate_when_the_loss_stalls():
    history = fitted(trainer_of(), xn.ReduceOnPlateau("loss", patience=2), 7)
    # Rows are written before callbacks act: the third epoch's callback shows in the
    # fourth row.
    expected = [0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    assert history["learning_rate"] == pytest.approx(expected)


def test_a_second_fit_starts_to_wait_anew_and_a_rate_of_zero_stays():
    trainer, callback = trainer_of(), xn.ReduceOnPlateau("loss", patience=2)
    for _ in range(3):
        fitted(trainer, callback, 2)
    assert trainer.learning_rate == pytest.approx(0.4)
    trainer = trainer_of(Cosine(0.1, 2))
    fitted(trainer, xn.ReduceOnPlateau("loss", patience=1), 6)
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
