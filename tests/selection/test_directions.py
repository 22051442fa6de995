"""Which end of a score is good, where settings are ranked by it."""

import itertools
import json

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import QUICK, data, make, make_regression
from xpnet.selection import Results, Trial


def size(p, target):
    """A score that tells networks apart: how sure they are."""
    return float(p.max(axis=1).mean())


def maker(name, higher):
    def made(learning_rate=0.01, seed=0):
        t = make(learning_rate, seed=seed)
        metric = xn.Metric(size, higher, name)
        return xn.Trainer(
            t.model, t.loss_function, t.optimizer, "cpu", seed=seed, metrics=[metric]
        )

    return made


def searching(search, *more):
    space = {"learning_rate": [0.001, 0.3, 0.03]}
    return lambda made, **o: search(made, *data(), space, *more, folds=2, **QUICK, **o)


SEARCHES = {
    "grid": searching(xn.grid_search),
    "random": searching(xn.random_search, 3),
    "halving": searching(xn.halving_search, 3),
}
# name, where the direction is stated, which, how it is searched.
STATED = [
    ("auc", "metric", "max", "grid"),
    ("auc", "option", "min", "halving"),
    ("r2_like", "option", "max", "random"),
    ("r2_like", "metric", "min", "grid"),
    ("error", "metric", "max", "halving"),
    ("error", "option", "min", "grid"),
    ("accuracy_of_mine", "option", "max", "grid"),
    ("accuracy_of_mine", "metric", "min", "random"),
]


@pytest.mark.parametrize(("name", "stated", "mode", "search"), STATED)
def test_settings_are_ranked_by_what_is_stated(name, stated, mode, search):
    made = maker(name, mode == "max" if stated == "metric" else None)
    say = {} if stated == "metric" else {"mode": mode}
    found = SEARCHES[search](made, monitor=name, **say)
    means = [trial.mean(name) for trial in found.ranked]
    assert len(set(means)) == 3
    if search == "halving":  # the others stopped early
        assert sum(bool(trial.stopped_early) for trial in found.trials) == 2
        first = {t.settings["learning_rate"]: t.mean(name) for t in found.trials}
        best = max(first, key=first.get) if mode == "max" else min(first, key=first.get)
        assert found.best.settings["learning_rate"] == best
    else:
        assert means == sorted(means, reverse=mode == "max")
    assert found.best is found.ranked[0]
    found.monitor = "loss"
    losses = [trial.mean("loss") for trial in found.ranked if trial.complete]
    assert losses == sorted(losses)


class Told(xn.Callback):
    """Keeps the rows of what was trained."""

    def __init__(self):
        self.trained = []

    def on_epoch_end(self, trainer, row):
        self.trained.append(row)


@pytest.mark.parametrize("search", SEARCHES)
def test_what_cannot_be_watched_is_told_before_any_training(search):
    made, told = maker("auc", None), Told()
    hooks = {} if search == "halving" else {"callbacks": told}
    with pytest.raises(
        ValueError, match="monitor: whether a higher 'auc' is better is not known"
    ):
        SEARCHES[search](made, **hooks)
    assert told.trained == []
    assert SEARCHES[search](made, monitor="loss").best
    if search == "halving":
        return
    for early, message in (
        (xn.EarlyStopping("val_auc"), "EarlyStopping: whether a higher 'val_auc'"),
        (xn.EarlyStopping("val_los"), "no curve 'val_los'"),
    ):
        hooks = {"callbacks": early, "validation": 0.3}
        with pytest.raises(ValueError, match=message):
            SEARCHES[search](made, monitor="loss", **hooks)


def test_what_a_later_setting_lacks_is_told_before_any_training():
    told = Told()

    def made(hidden=6, seed=0):
        t = make(hidden=hidden, seed=seed)
        metric = xn.Metric(size, True if hidden == 6 else None, "auc")
        metrics = [metric, "accuracy"] if hidden < 8 else ["accuracy"]
        return xn.Trainer(t.model, t.loss_function, seed=seed, metrics=metrics)

    def searched(hidden, *hooks, **options):
        space = {"hidden": [6, hidden]}
        options |= {"folds": 2, "callbacks": [*hooks, told], **QUICK}
        xn.grid_search(made, *data(), space, **options)

    early, watched = xn.EarlyStopping("val_auc"), {"monitor": "accuracy"}
    for hidden, message in ((7, "a higher 'val_auc' is better"), (8, "no curve")):
        with pytest.raises(ValueError, match=f"EarlyStopping: .*{message}"):
            searched(hidden, early, validation=0.3, **watched)
    with pytest.raises(ValueError, match="monitor: no score 'auc'"):
        searched(8)
    assert told.trained == []


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"mode": "best"}, ValueError, "expected mode 'min', 'max' or None"),
        ({"mode": 1}, TypeError, "expected mode 'min', 'max' or None"),
        ({"monitor": ["auc"]}, TypeError, "monitor: expected the name of one score"),
        ({"monitor": "acu"}, ValueError, "no score 'acu'; did you mean 'auc'"),
    ],
)
def test_unfit_options_are_told(options, kind, message):
    with pytest.raises(kind, match=message):
        SEARCHES["grid"](maker("auc", True), **options)


def test_one_setting_needs_no_direction():
    made = maker("auc", None)
    found = xn.cross_validate(made, *data(), folds=2, **QUICK)
    assert found.monitor == "auc"
    assert "auc" in str(found)
    curve = xn.learning_curve(made, *data(), (0.5, 1.0), folds=2, **QUICK)
    assert np.isfinite(curve.test["auc"]).all()


def test_settings_that_disagree_do_not_decide():
    def made(learning_rate=0.01, seed=0):
        return maker("auc", learning_rate > 0.01)(learning_rate, seed)

    with pytest.raises(ValueError, match="whether a higher 'auc' is better"):
        SEARCHES["grid"](made)
    assert SEARCHES["grid"](made, mode="max").best


def trials(values):
    return [Trial({"i": i}, [{"auc": v, "loss": 1.0}]) for i, v in enumerate(values)]


@pytest.mark.parametrize("higher", [True, False])
def test_nan_is_never_the_best_and_ties_stay_in_order(higher):
    for values in itertools.permutations([np.nan, 0.5, np.nan, 0.2]):
        results = Results(trials(values), "auc", {"auc": higher})
        ranked = [trial.mean("auc") for trial in results]
        wanted = [*sorted([0.5, 0.2], reverse=higher), np.nan, np.nan]
        np.testing.assert_equal(ranked, wanted)
        assert results.best.mean("auc") == (0.5 if higher else 0.2)
        assert [row[0] for row in results.table()[1:]] == ["1", "2", "-", "-"]
        worst = json.loads(results.to_json())["trials"][2]
        assert worst["scores"] == [{"auc": None, "loss": 1.0}]
    same = Results(trials([0.5] * 3), "auc", {"auc": higher})
    assert [trial.settings["i"] for trial in same] == [0, 1, 2]


def test_results_without_a_best_ask_or_say_so():
    results = Results(trials([np.nan, np.nan]), "auc", {"auc": True})
    with pytest.raises(ValueError, match="auc is NaN for every setting"):
        _ = results.best
    with pytest.raises(ValueError, match="Results: whether a higher 'auc' is better"):
        _ = Results(trials([0.1, 0.2]), "auc").ranked
    assert len(Results(trials([0.1]), "auc").ranked) == 1


def test_a_score_that_is_not_defined_decides_nothing():
    x, y = data(9, regression=True)
    space = {"learning_rate": [0.001, 0.1]}
    options = {**QUICK, "folds": "leave_one_out", "batch_size": 4}
    found = xn.grid_search(make_regression, x, y, space, **options)
    assert found.monitor == "mean_absolute_error"
    assert np.isnan(found.best.mean("r2"))
    assert found.best.complete
    with pytest.raises(ValueError, match="r2 is not defined where the targets do not"):
        xn.grid_search(make_regression, x, y, space, monitor="r2", **options)
    options["folds"] = 2
    usual = xn.grid_search(make_regression, x, y, space, **options)
    assert usual.monitor == "r2"


def test_a_metric_that_fails_is_told_before_any_training():
    def made(learning_rate=0.01, seed=0):
        t = make(learning_rate, seed=seed)
        return xn.Trainer(t.model, t.loss_function, metrics=[lambda p, t, w: p])

    with pytest.raises(TypeError, match="'<lambda>': it must give a number"):
        xn.cross_validate(made, *data(), folds=2, **QUICK)
