"""Short epochs, many to a call of C: as one by one, and nobody is told too late."""

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


def both(monkeypatch, make, **options):
    """(trainer, curves) one epoch at a time and together, and what was told."""
    found = []
    for most in (1, tuning.MAX_EPOCHS_PER_BLOCK):
        monkeypatch.setattr(tuning, "MAX_EPOCHS_PER_BLOCK", most)
        told = Told()
        t = make()
        x, y = data(samples=23)
        t.fit(x, y, EPOCHS, callbacks=told, **{"batch_size": 7, **options})
        found.append((everything(t), curves(t.history), told.seen, t.loss))
    return found


@pytest.mark.parametrize(
    ("hidden", "batch"),
    [
        ("dense", 7),
        ("dropout", 23),
        ("batch norm", 12),
        ("max norm", 23),
        ("noise", 12),
    ],
)
def test_epochs_together_are_epochs_one_by_one(hidden, batch, monkeypatch, counted):
    def make():
        return trainer(hidden, optimizer=xn.Adam(xn.Cosine(0.01, 90)), jit=True)

    one, many = both(monkeypatch, make, batch_size=batch)
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
    x, y = data(samples=23)
    t = trainer(jit=True)
    t.fit(x, y, EPOCHS, 7)
    assert sum(counted) == (EPOCHS if likely == "short" else EPOCHS - 1)
    assert len(t.history) == EPOCHS


def test_weights_and_a_fixed_order_go_along(monkeypatch, counted):
    weights = np.linspace(0.0, 2.0, 23)
    for more in ({"sample_weight": weights}, {"shuffle": False}):
        one, many = both(monkeypatch, lambda: trainer(jit=True), **more)
        assert same(one[0], many[0])
        assert one[1:] == many[1:]
    assert counted


@pytest.mark.slow
def test_penalized_weights_are_squared_as_each_epoch_ends(counted):
    x, y = data(samples=23)
    told = Told()
    t = trainer("dense", dtype="float64", jit=True)
    t.fit(x, y, EPOCHS, callbacks=told, batch_size=7)
    again = trainer("dense", dtype="float64", jit=True)
    for *_, square in told.seen:
        again.fit(x, y, 1, batch_size=7)
        w = np.concatenate([again.parameters()[k].ravel() for k in ("0.W", "1.W")])
        assert square == pytest.approx(float(w @ w), rel=1e-14)
        assert square == again.weights_square
    assert counted


def test_who_has_to_see_every_epoch_is_told_at_once(counted):
    class Copies(xn.Callback):
        def __init__(self):
            self.copies = []

        def on_epoch_end(self, trainer, row):
            self.copies.append(trainer.snapshot()[0].copy())

    x, y = data(samples=23)
    copies = Copies()
    trainer(jit=True).fit(x, y, 10, 7, callbacks=[Told(), copies])
    assert not counted
    for a, b in zip(copies.copies, copies.copies[1:], strict=False):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("patience", [2, 3, 7])
def test_nobody_is_told_later_than_it_can_wait(patience, counted):
    x, y = data(samples=23)
    told = Told(patience)
    t = trainer(jit=True)
    t.fit(x, y, EPOCHS, 7, callbacks=told)
    assert max(counted) <= patience
    assert [row["loss"] for row in told.rows] == t.history["loss"]


def test_a_stop_or_a_rate_of_the_last_row_counts(counted):
    class Ends(Told):
        def on_epoch_end(self, trainer, row):
            super().on_epoch_end(trainer, row)
            self.patience = max(1, 12 - len(self.rows))
            if len(self.rows) == 12:
                trainer.stop = "enough"

    x, y = data(samples=23)
    t = trainer(jit=True)
    history = t.fit(x, y, EPOCHS, 7, callbacks=Ends(12))
    assert len(history) == t.epochs_done == 12
    assert history.stopped == "enough"
    other = trainer(jit=True)
    other.fit(x, y, 12, 7)
    assert same(everything(t), everything(other))
    assert counted


@pytest.mark.parametrize("batch", [7, 23])
def test_a_bad_step_within_is_told_of_and_taken_back(batch, monkeypatch, counted):
    x, y = data("values", samples=23)
    found = []
    for most in (1, tuning.MAX_EPOCHS_PER_BLOCK):
        monkeypatch.setattr(tuning, "MAX_EPOCHS_PER_BLOCK", most)
        rule = xn.SGD(lambda step: 0.01 * 1.3**step)
        t = trainer("dropout", "mean_squared_error", rule, jit=True)
        with pytest.raises(xn.DivergenceError) as error:
            t.fit(x, y, 200, batch)
        found.append((str(error.value), everything(t), curves(t.history), t.steps_done))
    (said, state, rows, steps), (said2, state2, rows2, steps2) = found
    assert said == said2
    assert same(state, state2)
    assert rows == rows2
    assert steps == steps2 > 0
    assert counted
    assert len(rows) > 1


def test_ctrl_c_ends_training_when_the_epochs_under_way_are_done(
    counted, capsys, monkeypatch
):
    x, y = data(samples=23)
    t = trainer(jit=True)
    soon(monkeypatch, os.kill, os.getpid(), signal.SIGINT)
    history = t.fit(x, y, 10_000_000, 7, verbose=False)
    assert history.stopped.startswith("interrupted in epoch ")
    assert len(history) == t.epochs_done == t.steps_done // 4
    assert f"epoch {len(history)} after batch 4" in history.stopped
    assert "interrupted" in capsys.readouterr().err
    assert counted
    other = trainer(jit=True)
    other.fit(x, y, len(history), 7, verbose=False)
    assert same(everything(t), everything(other))


def test_epochs_that_are_looked_at_are_taken_one_by_one(counted):
    x, y = data(samples=23)
    trainer(jit=True).fit(x, y, 5, 7, validation=(x, y))
    trainer(jit=True).fit(x, y, 5, 7, diagnose=True)
    trainer(jit=False).fit(x, y, 5, 7)
    trainer(eager=True).fit(x, y, 5, 7)
    assert not counted


def test_there_is_room_for_the_orders_of_few_samples_only():
    prepared, most = together.prepared, tuning.MAX_PREPARED_BYTES
    assert prepared(100, 4, 5, 10) == 10
    assert prepared(100, 4, 5, 10**9) == tuning.MAX_EPOCHS_PER_BLOCK
    assert prepared(10**9, 1, 5, 5) == 1
    assert 8 * 10_000 * prepared(10_000, 1, 5, 10**6) <= most
    assert 8 * 10_000 * 6 * prepared(1, 10_000, 5, 10**6) <= most


def test_a_callback_that_raises_leaves_the_counts_of_what_was_trained(counted):
    class Raises(Told):
        def on_epoch_end(self, trainer, row):
            super().on_epoch_end(trainer, row)
            if len(self.rows) == 5:
                raise LookupError

    x, y = data(samples=23)
    t = trainer(jit=True)
    with pytest.raises(LookupError):
        t.fit(x, y, EPOCHS, 7, callbacks=Raises())
    assert counted
    assert t.steps_done == 4 * t.epochs_done >= 20
    other = trainer(jit=True)
    other.fit(x, y, t.epochs_done, 7)
    assert same(everything(t), everything(other))


@pytest.mark.parametrize("batch", [7, 23])
def test_a_callback_that_raises_before_a_bad_step(batch, counted):
    # What the steps after the last row have changed is counted, and put back.
    class Raises(Told):
        def on_epoch_end(self, trainer, row):
            super().on_epoch_end(trainer, row)
            if row["loss"] > 10.0:
                raise LookupError

    x, y = data("values", samples=23)
    rule = xn.SGD(lambda step: 0.01 * 1.3**step)
    t = trainer("dropout", "mean_squared_error", rule, jit=True)
    with pytest.raises(LookupError):
        t.fit(x, y, 200, batch, callbacks=Raises())
    assert counted
    again = trainer("dropout", "mean_squared_error", rule, jit=True)
    with pytest.raises(xn.DivergenceError):
        again.fit(x, y, 200, batch)
    assert same(everything(t), everything(again))


def test_a_stop_from_outside_loses_no_row(counted, monkeypatch):
    x, y = data(samples=23)
    t, told = trainer(jit=True), Told()
    soon(monkeypatch, setattr, t, "stop", "from outside")
    t.fit(x, y, 10_000_000, 7, callbacks=told, verbose=False)
    assert t.history.stopped == "from outside"
    assert len(t.history) == len(told.rows) == t.epochs_done


@pytest.mark.parametrize("rule", [xn.SGD(0.1), xn.Adam(0.1), xn.RAdam(0.1)], ids=repr)
@pytest.mark.parametrize("more", [{}, {"average": xn.WeightAverage(0.9)}], ids=str)
def test_the_numbers_of_many_steps_are_those_of_each(rule, more):
    rule.gradient_noise = 0.1 if more else 0.0
    t = trainer("dense", optimizer=rule, dtype="float64", **more)
    t.build(4)
    rates = [0.3, 0.2, 0.1]
    table = t.rule.table(rates, 7)
    assert t.rule.table([], 7).shape == (0, table.shape[1])
    for step, (rate, row) in enumerate(zip(rates, table, strict=True), 7):
        t.rule.write(rate, step)
        assert np.array_equal(t.rule.numbers, row)
