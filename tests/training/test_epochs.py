"""Short epochs, many to a call of C: as one by one, and callbacks are told in time."""

import os
import signal
import threading

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.training.examples import trainer
from tests.ways import curves, everything, same
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.execution import c_steps as steps
from xpnet.training import epochs as together

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
EPOCHS = 40


@pytest.fixture
def counted(monkeypatch):
    """How many epochs each call took."""
    counts = []
    run = together.EpochBlock.run_epochs

    def noted(self, count, finish):
        counts.append(count)
        return run(self, count, finish)

    monkeypatch.setattr(together.EpochBlock, "run_epochs", noted)
    return counts


def soon(monkeypatch, function, *arguments):
    """Calls the function from beside, once epochs are run together: however long it
    takes until then, the garbage of a thousand tests among it.
    """
    run = together.EpochBlock.run_epochs
    timer = threading.Timer(0.05, function, arguments)

    def started(self, count, finish):
        if timer.ident is None:
            timer.start()
        return run(self, count, finish)

    monkeypatch.setattr(together.EpochBlock, "run_epochs", started)


class Told(xn.Callback):
    """Keeps what it is told, and can wait for `patience` epochs."""

    def __init__(self, patience=float("inf")):
        self.patience, self.rows, self.seen = patience, [], []

    def patient_for(self, trainer):
        return self.patience

    def on_epoch_end(self, trainer, row):
        self.rows.append(row)
        self.seen.append((trainer.epochs_done, trainer.steps_done))
        self.seen[-1] += (trainer.weights_square,)


X, Y = data(samples=23)


def fitted(epochs=EPOCHS, **options):
    """A trainer after so many epochs."""
    t = trainer(jit=True)
    t.fit(X, Y, epochs, 7, **options)
    return t


def exploding():
    """One whose rate grows until it diverges, after some epochs."""
    rule = xn.SGD(lambda step: 0.01 * 1.3**step)
    return trainer("dropout", "mean_squared_error", rule, jit=True)


@pytest.mark.parametrize(("hidden", "options"), [
    ("dense", {"batch_size": 7, "sample_weight": np.linspace(0.0, 2.0, 23)}),
    ("dropout", {"batch_size": 23}), ("noise", {"batch_size": 12, "shuffle": False}),
    ("batch norm", {"batch_size": 12}), ("max norm", {"batch_size": 23}),
])  # fmt: skip
def test_epochs_together_are_epochs_one_by_one(hidden, options, monkeypatch, counted):
    found = []
    for most in (1, tuning.MAX_EPOCHS_PER_BLOCK):
        monkeypatch.setattr(tuning, "MAX_EPOCHS_PER_BLOCK", most)
        rule, told = xn.Adam(xn.Cosine(0.01, 90)), Told()
        t = trainer(hidden, optimizer=rule, jit=True)
        t.fit(X, Y, EPOCHS, callbacks=told, **options)
        found.append((everything(t), curves(t.history), told.seen, t.loss))
    one, many = found
    assert same(one[0], many[0])
    assert one[1:] == many[1:]
    assert counted or "norm" in hidden
    assert all(count > 1 for count in counted)


@pytest.mark.parametrize("likely", ["short", "long"])
def test_the_first_epoch_is_one_of_many_where_it_is_likely_to_be_short(
    likely, monkeypatch, counted
):
    if likely == "long":
        monkeypatch.setattr(steps, "CALL", 1.0)
    assert len(fitted().history) == EPOCHS
    assert sum(counted) == (EPOCHS if likely == "short" else EPOCHS - 1)


def test_penalized_weights_are_squared_as_each_epoch_ends(counted):
    told = Told()
    t, again = (trainer(dtype="float64", jit=True) for _ in "ab")
    t.fit(X, Y, EPOCHS, 7, callbacks=told)
    for *_, square in told.seen:
        again.fit(X, Y, 1, 7)
        w = np.concatenate([again.parameters()[k].ravel() for k in ("0.W", "1.W")])
        assert square == pytest.approx(float(w @ w), rel=1e-14)
        assert square == again.weights_square
    assert counted


def test_a_callback_that_has_to_see_every_epoch_is_told_at_once(counted):
    class Copies(xn.Callback):
        def __init__(self):
            self.copies = []

        def on_epoch_end(self, trainer, row):
            self.copies.append(trainer.snapshot()[0].copy())

    copies = Copies()
    fitted(10, callbacks=[Told(), copies])
    assert not counted
    for a, b in zip(copies.copies, copies.copies[1:], strict=False):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("patience", [2, 7])
def test_no_callback_is_told_later_than_it_can_wait(patience, counted):
    told = Told(patience)
    t = fitted(callbacks=told)
    assert max(counted) <= patience
    assert [row["loss"] for row in told.rows] == t.history["loss"]


def test_a_stop_or_a_rate_of_the_last_row_counts(counted):
    class Ends(Told):
        def on_epoch_end(self, trainer, row):
            super().on_epoch_end(trainer, row)
            self.patience = max(1, 12 - len(self.rows))
            if len(self.rows) == 12:
                trainer.stop = "enough"

    t = fitted(callbacks=Ends(12))
    assert len(t.history) == t.epochs_done == 12
    assert t.history.stopped == "enough"
    assert same(everything(t), everything(fitted(12)))
    assert counted


class Raises(Told):
    """At the fifth row, or where the loss is large."""

    def on_epoch_end(self, trainer, row):
        super().on_epoch_end(trainer, row)
        if row["loss"] > 10.0 or len(self.rows) == self.last:
            raise LookupError

    def __init__(self, last=0):
        super().__init__()
        self.last = last


@pytest.mark.parametrize("batch", [7, 23])
def test_a_bad_step_within_is_told_of_and_taken_back(batch, monkeypatch, counted):
    data_ = data("values", samples=23)
    found = []
    for most in (1, tuning.MAX_EPOCHS_PER_BLOCK):
        monkeypatch.setattr(tuning, "MAX_EPOCHS_PER_BLOCK", most)
        t = exploding()
        with pytest.raises(xn.DivergenceError) as error:
            t.fit(*data_, 200, batch)
        found.append((everything(t), str(error.value), curves(t.history)))
    one, many = found
    assert same(one[0], many[0])
    assert one[1:] == many[1:]
    assert counted
    assert len(many[2]) > 1
    # What the steps after a row have changed is counted, and put back.
    t = exploding()
    with pytest.raises(LookupError):
        t.fit(*data_, 200, batch, callbacks=Raises())
    assert same(everything(t), many[0])


def test_ctrl_c_ends_training_when_the_epochs_under_way_are_done(
    counted, capsys, monkeypatch
):
    soon(monkeypatch, os.kill, os.getpid(), signal.SIGINT)
    t = fitted(10_000_000, verbose=False)
    assert len(t.history) == t.epochs_done == t.steps_done // 4
    stopped = f"interrupted in epoch {len(t.history)} after batch 4"
    assert t.history.stopped == stopped
    assert "interrupted" in capsys.readouterr().err
    assert counted
    assert same(everything(t), everything(fitted(len(t.history), verbose=False)))


def test_epochs_that_are_looked_at_are_taken_one_by_one(counted):
    fitted(5, validation=(X, Y))
    fitted(5, diagnose=True)
    trainer(jit=False).fit(X, Y, 5, 7)
    trainer(eager=True).fit(X, Y, 5, 7)
    assert not counted


def test_there_is_room_for_the_orders_of_few_samples_only():
    prepared, most = together.prepared, tuning.MAX_PREPARED_BYTES
    assert prepared(100, 4, 5, 10) == 10
    assert prepared(100, 4, 5, 10**9) == tuning.MAX_EPOCHS_PER_BLOCK
    assert prepared(10**9, 1, 5, 5) == 1
    assert 8 * 10_000 * prepared(10_000, 1, 5, 10**6) <= most
    assert 8 * 10_000 * 6 * prepared(1, 10_000, 5, 10**6) <= most


def test_a_callback_that_raises_leaves_the_counts_of_what_was_trained(counted):
    t = trainer(jit=True)
    with pytest.raises(LookupError):
        t.fit(X, Y, EPOCHS, 7, callbacks=Raises(5))
    assert counted
    assert t.steps_done == 4 * t.epochs_done >= 20
    assert same(everything(t), everything(fitted(t.epochs_done)))


def test_a_stop_from_outside_loses_no_row(counted, monkeypatch):
    t, told = trainer(jit=True), Told()
    soon(monkeypatch, setattr, t, "stop", "from outside")
    t.fit(X, Y, 10_000_000, 7, callbacks=told, verbose=False)
    assert t.history.stopped == "from outside"
    assert len(t.history) == len(told.rows) == t.epochs_done


@pytest.mark.parametrize(("rule", "more"), [
    (xn.SGD(0.1, gradient_noise=0.1), {"average": xn.WeightAverage(0.9)}),
    (xn.Adam(0.1), {}), (xn.RAdam(0.1), {"average": xn.WeightAverage(0.9)}),
], ids=repr)  # fmt: skip
def test_the_numbers_of_many_steps_are_those_of_each(rule, more):
    t = trainer("dense", optimizer=rule, dtype="float64", **more)
    t.build(4)
    rates = [0.3, 0.2, 0.1]
    table = t.rule.table(rates, 7)
    assert t.rule.table([], 7).shape == (0, table.shape[1])
    for step, (rate, row) in enumerate(zip(rates, table, strict=True), 7):
        t.rule.write(rate, step)
        assert np.array_equal(t.rule.numbers, row)
