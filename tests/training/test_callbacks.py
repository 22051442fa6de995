"""Callbacks: when they are called, and that the best weights come back."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES, data, rng
from tests.training.examples import trainer, weights
from tests.ways import same


class Log(xn.Callback):
    """Writes down each call under its name, and the weights at each epoch's end."""

    def __init__(self, log, name="log"):
        self.log, self.name, self.weights = log, name, []

    def on_fit_begin(self, trainer):
        self.log.append((self.name, "begin"))

    def on_epoch_end(self, trainer, row):
        self.log.append((self.name, trainer.epochs_done))
        self.weights.append(weights(trainer))

    def on_fit_end(self, trainer):
        self.log.append((self.name, "end"))


class Do(xn.Callback):
    """Calls `action(trainer, epoch)` at each epoch's end."""

    def __init__(self, action):
        self.action = action

    def on_epoch_end(self, trainer, row):
        self.action(trainer, trainer.epochs_done)


def overfitting():
    """(x, y), (xv, yv) whose validation loss falls first and rises then."""
    x, y = data(samples=40)
    y = np.where(rng(1).random(40) < 0.3, (y + 1) % 3, y)
    return (x[:20], y[:20]), (x[20:], y[20:])


def test_callbacks_are_called_in_their_order():
    x, y = data()
    log = []
    trainer().fit(x, y, 2, 5, callbacks=[Log(log, "a"), Log(log, "b")])
    steps = ["begin", 1, 2, "end"]
    assert log == [(name, step) for step in steps for name in "ab"]


def test_a_callback_needs_no_list_and_no_methods():
    x, y = data()
    log = []
    trainer().fit(x, y, 1, 5, callbacks=Log(log))
    assert log == [("log", "begin"), ("log", 1), ("log", "end")]
    trainer().fit(x, y, 1, 5, callbacks=(xn.Callback(),))


def test_a_callback_sees_the_row_that_the_history_keeps():
    class Keep(xn.Callback):
        rows = ()

        def on_epoch_end(self, trainer, row):
            assert trainer.history.rows[-1] is row
            self.rows = (*self.rows, row)

    x, y = data()
    keep = Keep()
    history = trainer().fit(x, y, 3, 5, validation=(x, y), callbacks=[keep])
    assert list(keep.rows) == history.rows
    assert {"loss", "val_loss", "val_accuracy", "learning_rate"} <= set(keep.rows[0])


def test_a_callback_ends_training_with_its_reason():
    def stop(trainer, epoch):
        if epoch == 2:
            trainer.stop = "enough"

    x, y = data()
    log, t = [], trainer()
    history = t.fit(x, y, 9, 5, callbacks=[Do(stop), Log(log)])
    assert len(history) == 2
    assert history.stopped == "enough"
    assert log[-2:] == [("log", 2), ("log", "end")]
    again = t.fit(x, y, 3, 5)
    assert len(again) == 3
    assert again.stopped == ""


def test_a_failing_callback_still_lets_all_see_the_end():
    def fail(trainer, epoch):
        raise LookupError("mine")

    x, y = data()
    log = []
    with pytest.raises(LookupError, match="mine"):
        trainer().fit(x, y, 3, 5, callbacks=[Log(log, "a"), Do(fail), Log(log, "b")])
    begins, ends = [("a", "begin"), ("b", "begin")], [("a", "end"), ("b", "end")]
    assert log == [*begins, ("a", 1), *ends]


def test_a_callback_may_change_the_learning_rate():
    x, y = data()
    t = trainer()
    halve = Do(lambda t, epoch: setattr(t, "learning_rate", t.learning_rate / 2))
    history = t.fit(x, y, 3, 5, callbacks=[halve])
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025])
    other = trainer()
    for rate in (0.1, 0.05, 0.025):
        other.learning_rate = rate
        other.fit(x, y, 1, 5)
    assert same(weights(t), weights(other))


@pytest.mark.parametrize("end", ["patience", "last epoch", "stop", "error"])
@pytest.mark.parametrize("hidden", ["dense", "batch norm"])
def test_early_stopping_puts_the_best_weights_back(hidden, end):
    train, held = overfitting()
    epochs = 60 if end != "last epoch" else 17

    def cut(trainer, epoch):
        if end == "stop" and epoch == 16:
            trainer.stop = "enough"
        if end == "error" and epoch == 16:
            raise LookupError("mine")

    log = Log([])
    patience = 7 if end == "patience" else 1000
    t = trainer(hidden, optimizer=xn.Adam(0.05))
    callbacks = [log, xn.EarlyStopping(patience=patience), Do(cut)]
    if end == "error":
        with pytest.raises(LookupError, match="mine"):
            t.fit(*train, epochs, 5, validation=held, callbacks=callbacks)
    else:
        t.fit(*train, epochs, 5, validation=held, callbacks=callbacks)
    losses = t.history["val_loss"]
    best = int(np.argmin(losses))
    lengths = {"patience": best + 1 + 7, "last epoch": 17, "stop": 16, "error": 16}
    assert len(losses) == lengths[end]
    assert best < len(losses) - 1  # else there is nothing to put back
    assert t.history.best_epoch == best + 1
    assert same(weights(t), log.weights[best])
    assert not same(weights(t), log.weights[-1])
    assert t.evaluate(*held)["loss"] == pytest.approx(losses[best], rel=1e-6)
    if end == "patience":
        assert t.history.stopped == "val_loss has not improved for 7 epochs"


def test_early_stopping_forgets_an_earlier_run():
    train, held = overfitting()
    early, t = xn.EarlyStopping(patience=4), trainer(optimizer=xn.Adam(0.05))
    for _ in range(2):
        log = Log([])
        t.fit(*train, 40, 5, validation=held, callbacks=[log, early])
        best = int(np.argmin(t.history["val_loss"]))
        assert same(weights(t), log.weights[best])


class Curve(xn.Callback):
    """Gives the curve `val_score` (or another) the values of a list."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = iter(values), name

    def on_epoch_end(self, trainer, row):
        row[self.name] = next(self.values)


@pytest.mark.parametrize(
    ("name", "values", "options", "epochs"),
    [
        ("val_loss", [3, 2, 1, 1, 1, 0, 0], {"patience": 2}, 5),
        ("val_loss", [3, 2, 1, 1, 0, 1, 1, 1], {"patience": 2}, 7),
        ("val_accuracy", [0.1, 0.2, 0.1, 0.1, 0.1], {"patience": 2}, 4),
        ("val_binary_accuracy", [0.1, 0.2, 0.3, 0.4, 0.5], {"patience": 1}, 5),
        ("val_r2", [-3.0, -2.0, -1.0, -2.0, -2.0], {"patience": 1}, 4),
        ("val_top_3", [0.5, 0.6, 0.5, 0.5], {"patience": 1}, 3),
        ("val_loss", [1.0, 0.95, 0.91, 0.85, 0.8], {"patience": 2}, 5),
        ("val_loss", [1.0, 0.95, 0.91, 0.9], {"patience": 2, "min_delta": 0.1}, 3),
        ("val_loss", [1.0, np.nan, np.nan, 0.5], {"patience": 2}, 3),
        ("mine", [3, 2, 1, 2, 2], {"patience": 1, "mode": "min"}, 4),
        ("mine", [3, 2, 1, 2, 2], {"patience": 3, "mode": "max"}, 4),
        ("val_accuracy", [3, 2, 1, 2, 2], {"patience": 1, "mode": "min"}, 4),
        ("val_r2", [np.nan, np.nan, 0.5, np.nan], {"patience": 3}, 4),
    ],
)
def test_patience_counts_epochs_without_improvement(name, values, options, epochs):
    x, y = data()
    early = xn.EarlyStopping(name, **options)
    history = trainer().fit(
        x, y, len(values), None, callbacks=[Curve(values, name), early]
    )
    assert len(history) == epochs
    assert bool(history.stopped) == (epochs < len(values))


def test_reduce_on_plateau_lowers_the_rate_and_waits_again():
    x, y = data()
    losses = [5, 4, 4, 4, 4, 4, 3, 3, 3, 3]
    plateau = xn.ReduceOnPlateau(factor=0.1, patience=2, min_rate=0.002)
    t = trainer()
    history = t.fit(x, y, len(losses), None, callbacks=[Curve(losses), plateau])
    rates = [0.1] * 4 + [0.01] * 2 + [0.002] * 4
    assert history["learning_rate"] == pytest.approx(rates)


BAD = [
    (lambda: xn.EarlyStopping(patience=0), r"EarlyStopping: expected patience >= 1"),
    (lambda: xn.EarlyStopping(min_delta=-1.0), r"EarlyStopping: expected min_delta"),
    (lambda: xn.ReduceOnPlateau(patience=0), r"ReduceOnPlateau: expected patience"),
    (lambda: xn.ReduceOnPlateau(factor=1.0), r"ReduceOnPlateau: .*factor.* got 1\.0"),
    (lambda: xn.ReduceOnPlateau(factor=0.0), r"ReduceOnPlateau: .*factor.* got 0\.0"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_curve_that_is_not_there_is_told_the_nearest_one():
    x, y = data()
    with pytest.raises(
        ValueError, match=r"no curve 'val_los' to watch; did you mean 'val_loss'"
    ):
        trainer().fit(
            x, y, 1, 5, validation=(x, y), callbacks=xn.EarlyStopping("val_los")
        )
    with pytest.raises(ValueError, match=r"val_ curves need validation=\(x, y\)"):
        trainer().fit(x, y, 1, 5, callbacks=[xn.EarlyStopping()])


@pytest.mark.parametrize("callbacks", [[print], [xn.EarlyStopping], [None], 5, None])
def test_callbacks_are_callback_objects(callbacks):
    x, y = data()
    with pytest.raises(TypeError, match=r"callbacks: expected Callback objects, got"):
        trainer().fit(x, y, 1, 5, callbacks=callbacks)
    assert len(x) == SAMPLES
