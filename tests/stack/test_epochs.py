"""Epochs of a stack taken together: as one by one, whoever ends, and whenever."""

import os
import signal
import time
from typing import ClassVar

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, OUTPUTS, data
from tests.training.examples import network
from tests.ways import assert_close, assert_same_curves, everything, rows
from xpnet.compiler import c as native
from xpnet.stack import epochs as ahead
from xpnet.stack import fit
from xpnet.stack.blocks import NetworkBlock
from xpnet.stack.epochs import EpochBlock

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
MEMBERS, EPOCHS, BATCH = 5, 9, 7


@pytest.fixture
def spans(monkeypatch):
    """How many epochs have been taken fit, each time; an epoch is a turn."""
    taken = []
    run = EpochBlock.run

    def noted(self, count, *more):
        taken.append(count)
        return run(self, count, *more)

    monkeypatch.setattr(EpochBlock, "run", noted)
    monkeypatch.setattr(ahead, "INTERRUPT_CHECK_S", 0.0)
    return taken


def trained(make, x, y, together_, own=None, epochs=EPOCHS, **options):
    """(stack, histories); `together_`: whether epochs may be taken fit."""
    stack = xn.Stack([make(i) for i in range(MEMBERS)])
    own = [rows(i, len(x)) for i in range(MEMBERS)] if own is None else own
    if not together_:  # a callback looks at each
        options["callbacks"] = xn.Callback()
    histories = stack.fit(x, y, epochs, BATCH, own, verbose=False, **options)
    return stack, histories


def assert_same_as_one_by_one(make, x, y, spans, **options):
    plain, a = trained(make, x, y, False, **options)
    assert not spans
    found, b = trained(make, x, y, True, **options)
    assert max(spans) > 1
    assert {i: str(e) for i, e in found.errors.items()} == {
        i: str(e) for i, e in plain.errors.items()
    }
    for i in range(MEMBERS):
        assert_close(everything(found[i]), everything(plain[i]), 0.0)
        assert_same_curves(b[i], a[i], 0.0)
    return found, b


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["dense", "dropout", "max norm"])
def test_epochs_together_are_those_one_by_one(hidden, split, spans):
    x, y = data()
    assert_same_as_one_by_one(
        lambda i: network(i, hidden, "adam", jit=True), x, y, spans
    )


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["momentum", "adam", "adamw", "noisy"])
def test_a_rule_finds_its_numbers(rule, spans):
    x, y = data()
    assert_same_as_one_by_one(
        lambda i: network(i, "dense", rule, jit=True), x, y, spans
    )


@pytest.mark.slow
@pytest.mark.parametrize("balanced", [None, "balanced"])
def test_weights_go_along(balanced, split, spans):
    x, y = data()
    weights = np.linspace(0.0, 2.0, len(x))
    assert_same_as_one_by_one(
        lambda i: network(i, jit=True, dtype="float64"), x, y, spans,
        sample_weight=weights, class_weight=balanced,
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(21, 14, 7, 21, 7), (23, 3, 5, 7, 1), (23,) * 5])
def test_networks_of_any_sizes(sizes, split, spans, monkeypatch):
    x, y = data()
    if min(sizes) < BATCH:  # too little that threads could share
        monkeypatch.setattr(fit, "workers", lambda members: 1)
    own = [np.arange(size) for size in sizes]
    assert_same_as_one_by_one(
        lambda i: network(i, rule="adam", jit=True), x, y, spans, own=own
    )


@pytest.mark.slow
def test_a_training_goes_on_where_it_was(split, spans):
    x, y = data()
    own = [rows(i) for i in range(MEMBERS)]
    whole, _ = trained(lambda i: network(i, "dropout", jit=True), x, y, False)
    parts = xn.Stack([network(i, "dropout", jit=True) for i in range(MEMBERS)])
    for epochs in (4, 5):
        parts.fit(x, y, epochs, BATCH, own, verbose=False)
    assert spans
    for i in range(MEMBERS):
        assert_close(everything(parts[i]), everything(whole[i]), 0.0)


@pytest.mark.parametrize("together_", [False, True])
def test_networks_that_see_the_same_go_on_when_the_first_of_them_ends(
    together_, split, spans
):
    x, y = data("values", samples=4 * BATCH)  # the second step goes wrong, not the last
    rates, own = [1e30, 0.05, 0.01, 0.02, 0.03], [np.arange(len(x))] * MEMBERS

    def make(i):
        return network(0, "dense", xn.SGD(rates[i]), "mean_squared_error", jit=True)

    stack, _ = trained(make, x, y, together_, own)
    assert set(stack.errors) == {0}  # so few that the others stay where they are
    assert bool(spans) is together_
    for i in range(1, MEMBERS):
        alone = make(i)
        alone.fit(x[own[i]], y[own[i]], EPOCHS, BATCH, verbose=False)
        assert_close(everything(stack[i]), everything(alone), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "late"), [
    ("dense", (2.0, 3.0)), ("dropout", (1.0, 0.7)),
])  # fmt: skip
def test_networks_that_diverge_are_left_where_they_did(
    hidden, late, split, spans, monkeypatch
):
    """In the first epoch and later, in several steps; some share a tile."""
    x, y = data("values")
    rates, parted, part = [0.05, 1e30, *late, 1e4], [], EpochBlock._remove_diverged

    def noted(self, tile):
        ended = part(self, tile)
        parted.append(len(ended))
        return ended

    monkeypatch.setattr(EpochBlock, "_remove_diverged", noted)
    found, histories = assert_same_as_one_by_one(
        lambda i: network(
            i, hidden, xn.SGD(rates[i]), "mean_squared_error", jit=True
        ),
        x, y, spans, epochs=60,
    )  # fmt: skip
    lengths = [len(history) for history in histories]
    assert lengths[0] == 60
    assert 1 < min(lengths[2:4]) <= max(lengths[2:4]) < 60
    assert set(found.errors) == {1, 2, 3, 4}
    assert all(parted)  # and it has been left in peace then


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, 4])
def test_ctrl_c_ends_all_after_the_same_epoch(at, split, spans, monkeypatch):
    x, y = data()
    run, turns = NetworkBlock.run, []

    def pressed(self, stop):
        turns.append(stop)
        if len(turns) == 1 + 3 * at:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.005)  # the main thread is told of it
        return run(self, stop)

    monkeypatch.setattr(NetworkBlock, "run", pressed)
    stack, histories = trained(lambda i: network(i, jit=True), x, y, True)
    (count,) = {len(history) for history in histories}
    assert 1 < count < EPOCHS
    for i, history in enumerate(histories):
        steps = -(-len(rows(i)) // BATCH)
        assert history.stopped == f"interrupted in epoch {count} after batch 3"
        assert stack[i].steps_done == count * steps
        assert stack[i].epochs_done == count
    monkeypatch.setattr(NetworkBlock, "run", run)
    plain, _ = trained(lambda i: network(i, jit=True), x, y, False, epochs=count)
    for i in range(MEMBERS):
        assert_close(everything(stack[i]), everything(plain[i]), 0.0)


def test_a_second_ctrl_c_leaves_whole_epochs_in_the_counters(spans, monkeypatch):
    x, y = data()
    monkeypatch.setattr(fit, "workers", lambda members: 1)
    run, turns = NetworkBlock.run, []

    def pressed(self, stop):
        turns.append(stop)
        if stop > 4:
            raise KeyboardInterrupt
        return run(self, stop)

    monkeypatch.setattr(NetworkBlock, "run", pressed)
    stack = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
    with pytest.raises(KeyboardInterrupt):
        stack.fit(x, y, EPOCHS, BATCH, verbose=False)
    assert [t.epochs_done for t in stack.trainers] == [1 + 4] * MEMBERS
    assert [t.steps_done for t in stack.trainers] == [4 * 5] * MEMBERS


def test_who_is_told_may_end_it(spans):
    """All that has been trained is in the counters, whatever has been told."""
    x, y = data()
    told = []

    def tell(count):
        told.append(count)
        if len(told) == 3 * MEMBERS:
            raise RuntimeError("enough")

    stack = xn.Stack([network(i, "dropout", jit=True) for i in range(MEMBERS)])
    with pytest.raises(RuntimeError, match="enough"):
        stack.fit(x, y, EPOCHS, BATCH, progress=tell, verbose=False)
    epochs = stack[0].epochs_done
    assert epochs == 1 + spans[0]
    plain = xn.Stack([network(i, "dropout", jit=True) for i in range(MEMBERS)])
    plain.fit(x, y, epochs, BATCH, callbacks=xn.Callback(), verbose=False)
    for i in range(MEMBERS):
        assert_close(everything(stack[i]), everything(plain[i]), 0.0)


def test_rows_tell_the_rate_of_their_own_epoch(spans):
    x, y = data()
    stack = xn.Stack(
        [network(i, rule=xn.SGD(xn.Cosine(0.1, 40)), jit=True) for i in range(MEMBERS)]
    )
    histories = stack.fit(x, y, EPOCHS, BATCH, verbose=False)
    assert spans
    wanted = [xn.Cosine(0.1, 40)(4 * epoch - 1) for epoch in range(1, EPOCHS + 1)]
    for history in histories:
        assert history["learning_rate"] == pytest.approx(wanted)
        assert min(history["seconds"]) > 0.0


@pytest.mark.parametrize("looks", ["validation", "a callback", "no C"])
def test_where_somebody_looks_epochs_are_taken_one_by_one(looks, spans):
    x, y = data()
    more = {
        "validation": {"validation": (x, y)},
        "a callback": {"callbacks": xn.Callback()},
        "no C": {},
    }
    stack = xn.Stack([network(i, jit=looks != "no C") for i in range(3)])
    stack.fit(x, y, EPOCHS, BATCH, verbose=False, **more[looks])
    assert not spans


def test_long_epochs_are_taken_one_by_one(spans, monkeypatch):
    monkeypatch.setattr(ahead, "SPAN", 0.0)
    x, y = data()
    trained(lambda i: network(i, jit=True), x, y, True)
    assert not spans


def test_threads_take_turns_until_all_is_done(monkeypatch, spans):
    monkeypatch.setattr(fit, "workers", lambda members: 2)
    turns, run = {}, NetworkBlock.run

    def counted(self, stop):
        turns.setdefault(self, []).append((self.epoch, stop))
        return run(self, stop)

    monkeypatch.setattr(NetworkBlock, "run", counted)
    x = np.zeros((64, FEATURES), np.float32)
    stack = xn.Stack([network(i, jit=True) for i in range(16)])
    stack.fit(x, np.arange(64) % OUTPUTS, EPOCHS, 9, verbose=False)
    assert sum(spans) == EPOCHS - 1
    wanted = [[(i, i + 1) for i in range(count)] for count in spans for _ in range(2)]
    assert sorted(turns.values()) == sorted(wanted)


def test_what_is_prepared_fits_into_the_estimate(monkeypatch, spans):
    from xpnet.stack.memory import EPOCH_BLOCKS, _own_bytes

    made, legs = [], EpochBlock._made
    monkeypatch.setattr(
        EpochBlock, "_made", lambda self: made.append(legs(self)) or made[-1]
    )
    x, y = data()
    stack, _ = trained(lambda i: network(i, rule="adam", jit=True), x, y, True,
                       sample_weight=np.ones(len(x)))  # fmt: skip
    taken = sum(
        array.nbytes
        for leg in made[0]
        for array in (leg.index, leg.weighted, leg.table, leg.losses)
    )
    own = MEMBERS * EPOCH_BLOCKS * _own_bytes(stack[0], BATCH)
    assert 0.2 * own < taken <= own


def test_networks_leave_and_the_others_are_packed(spans):
    """Those that have diverged make room; what is prepared is prepared anew."""
    x, y = data("values")
    rates = [0.05, 1e30, 1e30, 1e30, 0.02]
    found, _ = assert_same_as_one_by_one(
        lambda i: network(
            i, rule=xn.SGD(rates[i]), loss="mean_squared_error", jit=True
        ),
        x, y, spans, epochs=30,
    )  # fmt: skip
    assert set(found.errors) == {1, 2, 3}
    assert len(spans) > 2


# Callbacks that can wait.


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


def noted(patience, x, y, rates, monkeypatch, last=10**6, epochs=EPOCHS, **options):
    monkeypatch.setattr(Notes, "told", {})
    stack = xn.Stack(
        [
            network(i, rule=xn.SGD(rate), jit=True, **options)
            for i, rate in enumerate(rates)
        ]
    )
    own = [rows(i, len(x)) for i in range(len(rates))]
    callbacks = Notes(patience, last)
    histories = stack.fit(x, y, epochs, BATCH, own, callbacks=callbacks, verbose=False)
    return stack, histories, Notes.told


RATES = [0.1, 0.11, 0.12, 0.13, 0.14]


@pytest.mark.parametrize(("patience", "dtype"), [(3, "float32"), (100, "float64")])
def test_patient_callbacks_are_told_of_each_epoch(
    patience, dtype, split, spans, monkeypatch
):
    x, y = data()
    plain, a, wanted = noted(1, x, y, RATES, monkeypatch, dtype=dtype)
    assert not spans
    found, b, told = noted(patience, x, y, RATES, monkeypatch, dtype=dtype)
    assert max(spans) == min(patience, EPOCHS - 1)
    assert told == wanted
    assert len(told) == MEMBERS
    for i in range(MEMBERS):
        assert_close(everything(found[i]), everything(plain[i]), 0.0)
        assert_same_curves(b[i], a[i], 0.0)


def test_nobody_waits_beyond_the_epoch_in_which_it_acts(split, spans, monkeypatch):
    x, y = data()
    plain, _, wanted = noted(1, x, y, RATES, monkeypatch, last=4)
    found, b, told = noted(100, x, y, RATES, monkeypatch, last=4)
    assert spans
    assert told == wanted
    assert [len(history) for history in b] == [4, 4, 5, 5, 6]  # of seeds 0, 0, 1, 1, 2
    for i in range(MEMBERS):
        assert b[i].stopped == "enough"
        assert_close(everything(found[i]), everything(plain[i]), 0.0)


def test_who_diverges_is_told_of_the_epochs_before(split, spans, monkeypatch):
    x, y = data("values")
    rates = [0.05, 1e30, 2.0, 3.0, 0.1]
    options = {"loss": "mean_squared_error", "epochs": 30}
    plain, a, wanted = noted(1, x, y, rates, monkeypatch, **options)
    found, b, told = noted(100, x, y, rates, monkeypatch, **options)
    assert spans
    assert {1, 2, 3} <= set(found.errors)
    assert told == wanted
    assert 1 < len(told[3.0]) < 30
    for i in range(MEMBERS):
        assert_close(everything(found[i]), everything(plain[i]), 0.0)
        assert_same_curves(b[i], a[i], 0.0)


@pytest.mark.slow
def test_a_callback_may_change_the_weights_when_it_has_waited(spans, monkeypatch):
    """After the last row of those taken fit, whose weights are the trainer's."""

    class Halves(xn.Callback):
        def __init__(self, patient):
            self.patient, self.epochs = patient, 0

        def patient_for(self, trainer):
            return 3 - self.epochs % 3 if self.patient else 1

        def on_epoch_end(self, trainer, row):
            self.epochs += 1
            if self.epochs % 3 == 0:
                trainer.penalized_weights()[...] *= 0.5

    x, y = data()
    found = []
    for patient in (False, True):
        stack = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
        stack.fit(x, y, EPOCHS, BATCH, callbacks=Halves(patient), verbose=False)
        found.append(stack)
    assert max(spans) > 1
    for i in range(MEMBERS):
        assert_close(everything(found[1][i]), everything(found[0][i]), 0.0)
        alone = network(i, jit=True)
        alone.fit(x, y, EPOCHS, BATCH, callbacks=Halves(False), verbose=False)
        assert_close(everything(found[1][i]), everything(alone), 1e-6)
