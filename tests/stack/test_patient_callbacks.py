"""Callbacks that can wait: epochs are taken together, and each is told as it was."""

from typing import ClassVar

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.stack.examples import MEMBERS, MSE, alone, assert_alike, fitted, in_c, of
from tests.training.examples import network
from tests.ways import assert_close, everything
from xpnet.compiler import c as native
from xpnet.compiler import tuning

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
EPOCHS = 9


@pytest.mark.parametrize("looks", ["validation", "a callback", "no C", "long epochs"])
def test_epochs_that_are_looked_at_or_long_are_taken_one_by_one(
    looks, spans, monkeypatch
):
    more = {"validation": {"validation": data()}, "a callback": {"callbacks": Halves()}}
    if looks == "long epochs":
        monkeypatch.setattr(tuning, "STACK_BLOCK_SECONDS", 0.0)
    fitted(of(jit=looks != "no C"), 3, rows=None, **more.get(looks, {}))
    assert not spans


class Notes(xn.Callback):
    """What is to be seen in each epoch; stops after a number of them."""

    told: ClassVar = {}  # rate of a network: a list

    def __init__(self, patience, last=10**6):
        self.patience, self.last, self.epochs = patience, last, 0

    def patient_for(self, trainer):
        return min(self.patience, self.last - self.epochs)

    def on_epoch_end(self, trainer, row):
        self.epochs += 1
        seen = (trainer.epochs_done, trainer.steps_done, trainer.weights_square)
        self.told.setdefault(trainer.learning_rate, []).append((*seen, row["loss"]))
        if self.epochs == self.last + trainer.seed:
            trainer.stop = "enough"


RATES = [0.1, 0.11, 0.12, 0.13, 0.14]


EXPLODING = [0.05, 1e30, 2.0, 3.0, 0.1]


TOLD = {  # epochs that it can wait, rates, the epoch in which it acts, other options
    "three at a time": (3, RATES, 10**6, {}),
    "all at once": (100, RATES, 10**6, {"dtype": "float64"}),
    "until it acts": (100, RATES, 4, {}),
    "until they diverge": (100, EXPLODING, 10**6, {"loss": MSE, "epochs": 30}),
}


@pytest.mark.parametrize("case", TOLD)
def test_patient_callbacks_are_told_of_each_epoch(case, split, spans, monkeypatch):
    patience, rates, last, options = TOLD[case]
    own = {k: v for k, v in options.items() if k != "epochs"}
    found = []

    def make(i):
        return network(i, rule=xn.SGD(rates[i]), jit=True, **own)

    for waits in (1, patience):
        monkeypatch.setattr(Notes, "told", {})
        how = {"callbacks": Notes(waits, last), "epochs": options.get("epochs", EPOCHS)}
        found.append((fitted(make, **how), Notes.told, list(spans)))
    (one, wanted, before), (many, told, taken) = found
    assert not before
    assert taken
    assert told == wanted
    assert_alike(many, one)
    if last == 4:
        lengths = [len(history) for history in many[1]]
        assert lengths == [4, 4, 5, 5, 6]  # of seeds 0, 0, 1, 1, 2
    elif rates is RATES:
        assert max(taken) == min(patience, EPOCHS - 1)
    else:
        assert {1, 2, 3} <= set(many[0].errors)
        assert 1 < len(told[3.0]) < 30


class Halves(xn.Callback):
    """Changes the weights after every third epoch, and can wait until then."""

    def __init__(self, patient=False):
        self.patient, self.epochs = patient, 0

    def patient_for(self, trainer):
        return 3 - self.epochs % 3 if self.patient else 1

    def on_epoch_end(self, trainer, row):
        self.epochs += 1
        if self.epochs % 3 == 0:
            trainer.penalized_weights()[...] *= 0.5


def test_a_callback_may_change_the_weights_when_it_has_waited(spans):
    """After the last row of those taken together, whose weights are the trainer's."""
    how = {"rows": [np.arange(23)] * MEMBERS}
    one = fitted(in_c(of()), callbacks=Halves(), **how)
    many = fitted(in_c(of()), callbacks=Halves(True), **how)
    assert max(spans) > 1
    assert_alike(many, one)
    trainer, history = alone(in_c(of()), 1, np.arange(23), callbacks=Halves())
    assert_close(everything(many[0][1]), everything(trainer), 1e-6)
    assert len(history) == EPOCHS
