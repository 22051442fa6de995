"""Which end of a score is good: stated by the metric or by `mode`, never its name."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data, in_turns
from tests.training.examples import trainer
from xpnet.training.metrics import METRICS

# Curves whose names promise the one or the other.
NAMES = ["auc", "accuracy_of_mine", "r2_like", "error", "top_secret"]
VALUES = [0.1, 0.9, np.nan, 0.5, 0.5]
BEST = {"max": 2, "min": 1}


class Played:
    """A metric that gives the values of a list; the first goes to the trial."""

    def __init__(self, values=VALUES):
        self.values = iter([0.0, *values])

    def __call__(self, p, target, weights):
        return next(self.values)


class Seen(xn.Callback):
    """Keeps the first weight and the rate of each epoch."""

    def __init__(self, to):
        self.weights, self.rates = to

    def on_epoch_end(self, trainer, row):
        self.weights.append(float(trainer.snapshot()[0][0]))
        self.rates.append(trainer.learning_rate)


def fit(t, **options):
    x, y = data()
    t.fit(x, y, len(VALUES), 5, validation=(x, y), **options)
    return t


def fit_stacked(t, **options):
    x, y = data()
    xn.Stack([t]).fit(x, y, len(VALUES), 5, validation=(x, y), **options)
    return t


def minimize(t, **options):
    x, y = data()
    xn.minimize(t, x, y, steps=len(VALUES), validation=(x, y), **options)
    return t


def own(name, mode=None, values=VALUES):
    """A trainer with one metric of its own, whose direction `mode` says."""
    higher = None if mode is None else mode == "max"
    metric = xn.Metric(Played(values), higher, name)
    return trainer(metrics=[metric, "accuracy"])


@pytest.mark.parametrize(("stated", "mode", "train", "name"), in_turns(
    ["metric", "callback", "both"] * 4, ["max", "min"], [fit, fit, minimize], NAMES
))  # fmt: skip
def test_the_best_epoch_comes_back(stated, mode, train, name):
    t = own(name, None if stated == "callback" else mode)
    say = {} if stated == "metric" else {"mode": mode}
    weights = []
    early = xn.EarlyStopping(f"val_{name}", **say)
    train(t, callbacks=[Seen((weights, [])), early])
    assert float(t.snapshot()[0][0]) == weights[BEST[mode] - 1]
    assert len(set(weights)) == len(VALUES)
    t.history.monitor = f"val_{name}"
    if stated == "callback":
        with pytest.raises(ValueError, match=rf"higher_is_better\['val_{name}'\]"):
            _ = t.history.best_epoch
    else:
        assert t.history.best_epoch == BEST[mode]
        starred = [line.endswith("*") for line in str(t.history).splitlines()[1:]]
        assert np.flatnonzero(starred) + 1 == BEST[mode]


@pytest.mark.parametrize("train", [fit, fit_stacked])
@pytest.mark.parametrize("mode", BEST)
def test_the_rate_falls_where_nothing_improves(mode, train):
    t, rates = own("auc", values=[0.1, 0.2, 0.3, 0.4, 0.5]), []
    plateau = xn.ReduceOnPlateau("val_auc", patience=2, mode=mode)
    if train is fit:
        train(t, callbacks=[plateau, Seen(([], rates))])
    else:
        train(t, callbacks=[plateau])
        rates = [*t.history["learning_rate"][1:], t.learning_rate]
    down = [0.1, 0.1, 0.05, 0.05, 0.025]
    assert rates == pytest.approx([0.1] * 5 if mode == "max" else down)


def test_a_stack_puts_the_best_weights_of_each_network_back():
    x, y = data()
    trainers = [trainer(metrics=["accuracy"]) for _ in range(2)]
    early = xn.EarlyStopping("val_accuracy", mode="min", patience=1)
    histories = xn.Stack(trainers).fit(
        x, y, 9, 5, validation=(x, y), callbacks=early, verbose=False
    )
    for t, history in zip(trainers, histories, strict=True):
        worst = min(history["val_accuracy"])
        assert t.evaluate(x, y)["accuracy"] == pytest.approx(worst)


@pytest.mark.parametrize("train", [fit, fit_stacked, minimize])
@pytest.mark.parametrize("watch", [xn.EarlyStopping, xn.ReduceOnPlateau])
@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [
        (
            "val_auc",
            None,
            "whether a higher 'val_auc' is better is not known; say mode",
        ),
        ("learning_rate", None, "whether a higher 'learning_rate' is better"),
        ("val_los", None, "no curve 'val_los' to watch; did you mean 'val_loss'"),
        ("val_los", "min", "no curve 'val_los' to watch; did you mean 'val_loss'"),
        ("val_r2", None, "no curve 'val_r2' to watch"),  # not a metric of this one
    ],
)
def test_what_cannot_be_watched_is_told_before_the_first_epoch(
    monitor, mode, message, watch, train
):
    t = own("auc")
    before = t.history
    with pytest.raises(ValueError, match=f"{watch.__name__}: {message}"):
        train(t, callbacks=[watch(monitor, mode=mode)])
    assert (t.steps_done, t.epochs_done) == (0, 0)
    assert t.history is before  # that of an earlier fit is not lost


@pytest.mark.parametrize("watch", [xn.EarlyStopping, xn.ReduceOnPlateau])
def test_a_validation_curve_without_validation_is_told_before_the_first_epoch(watch):
    x, y = data()
    t = trainer()
    with pytest.raises(ValueError, match=r"val_ curves need validation=\(x, y\)"):
        t.fit(x, y, 3, callbacks=watch())
    with pytest.raises(ValueError, match=r"val_ curves need validation=\(x, y\)"):
        xn.Stack([t]).fit(x, y, 3, callbacks=watch())
    assert t.epochs_done == 0


class Adds(xn.Callback):
    """Writes a curve of its own, and may state its direction."""

    def __init__(self, values, higher=None):
        self.values, self.higher = iter(values), higher

    def on_fit_begin(self, trainer):
        if self.higher is not None:
            trainer.history.higher_is_better["mine"] = self.higher

    def on_epoch_end(self, trainer, row):
        row["mine"] = next(self.values)


@pytest.mark.parametrize("mode", BEST)
@pytest.mark.parametrize("stated", ["history", "callback"])
def test_a_curve_that_a_callback_adds_can_be_watched(stated, mode):
    higher = mode == "max" if stated == "history" else None
    early = xn.EarlyStopping("mine", mode=None if stated == "history" else mode)
    weights, x, y = [], *data()
    t = trainer()
    hooks = [Adds(VALUES, higher), Seen((weights, [])), early]
    t.fit(x, y, len(VALUES), 5, callbacks=hooks)
    assert float(t.snapshot()[0][0]) == weights[BEST[mode] - 1]


def test_a_curve_that_a_callback_adds_needs_a_direction():
    x, y = data()
    t = trainer()
    with pytest.raises(ValueError, match="curves that a callback adds need mode"):
        t.fit(x, y, 3, callbacks=[Adds(VALUES), xn.EarlyStopping("mine")])
    assert t.epochs_done == 0


@pytest.mark.parametrize("watch", [xn.EarlyStopping, xn.ReduceOnPlateau])
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"monitor": ["loss"]}, TypeError, "expected monitor, the name of one curve"),
        ({"monitor": None}, TypeError, "expected monitor, the name of one curve"),
        ({"mode": "up"}, ValueError, "expected mode 'min', 'max' or None, got 'up'"),
        ({"mode": True}, TypeError, "expected mode 'min', 'max' or None, got True"),
        ({"patience": "5"}, ValueError, "expected patience >= 1"),
        ({"patience": 2.5}, ValueError, "expected patience >= 1"),
        ({"min_delta": "0"}, TypeError, "expected min_delta >= 0"),
        ({"min_delta": np.nan}, ValueError, "expected min_delta >= 0"),
    ],
)
def test_unfit_settings_of_what_watches_are_told(watch, arguments, kind, message):
    with pytest.raises(kind, match=f"{watch.__name__}: {message}"):
        watch(**arguments)


def test_what_watches_by_hand_guesses_no_direction():
    t = trainer()
    t.build(5)
    plateau = xn.ReduceOnPlateau("loss", patience=1)
    for value in (3.0, 2.0, 2.0):
        plateau.on_epoch_end(t, {"loss": value})
    assert t.learning_rate == pytest.approx(0.05)
    with pytest.raises(ValueError, match="whether a higher 'val_auc' is better"):
        xn.ReduceOnPlateau("val_auc").on_epoch_end(t, {"val_auc": 0.1})


def test_every_metric_of_the_table_states_its_direction():
    lower = [n for n, m in METRICS.items() if m.higher_is_better is False]
    assert lower == ["mean_absolute_error"]
    assert all(m.higher_is_better is not None for m in METRICS.values())


@pytest.mark.slow
def test_the_plot_marks_the_best_epoch():
    pytest.importorskip("matplotlib")
    t = fit(own("error", "max"))
    t.history.monitor = "val_error"
    lines = t.history.plot().axes[0].lines
    (mark,) = [line for line in lines if line.get_label() == "best"]
    assert list(mark.get_xdata()) == [BEST["max"]] * 2
