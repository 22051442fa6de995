"""Which end of a score is good, where settings are ranked by it."""

import itertools
import json

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import QUICK, data, make, make_regression
from xpnet.selection import Results, Trial

NAMES = ["auc", "r2_like", "error", "accuracy_of_mine"]


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


SPACE = {"learning_rate": [0.001, 0.3, 0.03]}
SEARCHES = {
    "grid": lambda made, **o: xn.grid_search(made, *data(), SPACE, folds=2, **o),
    "random": lambda made, **o: xn.random_search(made, *data(), SPACE, 3, folds=2, **o),
    "halving": lambda made, **o: xn.halving_search(
        made, *data(), SPACE, 3, folds=2, **o
    ),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("stated", ["metric", "option"])
@pytest.mark.parametrize("name", NAMES)
def test_settings_are_ranked_by_what_is_stated(name, stated, mode, search):
    made = maker(name, mode == "max" if stated == "metric" else None)
    say = {} if stated == "metric" else {"mode": mode}
    found = SEARCHES[search](made, **QUICK, monitor=name, **say)
    means = [trial.mean(name) for trial in found.ranked]
    assert len(set(means)) == 3
    if search == "halving":  # the others stopped early
        rest = [trial.mean(name) for trial in found.trials if trial.stopped_early]
        assert len(rest) == 2
        first = {t.settings["learning_rate"]: t.mean(name) for t in found.trials}
        best = max(first, key=first.get) if mode == "max" else min(first, key=first.get)
        assert found.best.settings["learning_rate"] == best
    else:
        assert means == sorted(means, reverse=mode == "max")
    assert found.best is found.ranked[0]
    found.monitor = "loss"
    losses = [trial.mean("loss") for trial in found.ranked if trial.complete]
    assert losses == sorted(losses)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_score_of_unknown_direction_is_told_before_any_training(search):
    trained = []

    class Told(xn.Callback):
        def on_epoch_end(self, trainer, row):
            trained.append(row)

    hooks = {} if search == "halving" else {"callbacks": Told()}
    with pytest.raises(
        ValueError, match="monitor: whether a higher 'auc' is better is not known"
    ):
        SEARCHES[search](maker("auc", None), **QUICK, **hooks)
    assert trained == []
    unnamed = SEARCHES[search](maker("auc", None), **QUICK, monitor="loss")
    assert unnamed.best


@pytest.mark.parametrize("search", ["grid", "random"])
def test_a_callback_that_cannot_watch_is_told_before_any_training(search):
    for early, message in (
        (xn.EarlyStopping("val_auc"), "EarlyStopping: whether a higher 'val_auc'"),
        (xn.EarlyStopping("val_los"), "no curve 'val_los'"),
    ):
        with pytest.raises(ValueError, match=message):
            SEARCHES[search](
                maker("auc", None), **QUICK, monitor="loss", callbacks=early,
                validation=0.3,
            )  # fmt: skip


def test_what_a_later_setting_lacks_is_told_before_any_training():
    trained = []

    class Told(xn.Callback):
        def on_epoch_end(self, trainer, row):
            trained.append(row)

    def made(hidden=6, seed=0):
        t = make(hidden=hidden, seed=seed)
        metric = xn.Metric(size, True if hidden == 6 else None, "auc")
        metrics = [metric, "accuracy"] if hidden < 8 else ["accuracy"]
        return xn.Trainer(t.model, t.loss_function, seed=seed, metrics=metrics)

    for hidden, message in ((7, "a higher 'val_auc' is better"), (8, "no curve")):
        hooks = [xn.EarlyStopping("val_auc"), Told()]
        with pytest.raises(ValueError, match=f"EarlyStopping: .*{message}"):
            xn.grid_search(
                made, *data(), {"hidden": [6, hidden]}, folds=2, monitor="accuracy",
                validation=0.3, callbacks=hooks, **QUICK,
            )  # fmt: skip
    with pytest.raises(ValueError, match="monitor: no score 'auc'"):
        xn.grid_search(
            made, *data(), {"hidden": [6, 8]}, folds=2, callbacks=Told(), **QUICK
        )
    assert trained == []


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
        SEARCHES["grid"](maker("auc", True), **QUICK, **options)


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
        SEARCHES["grid"](made, **QUICK)
    assert SEARCHES["grid"](made, **QUICK, mode="max").best


def trials(values):
    return [Trial({"i": i}, [{"auc": v, "loss": 1.0}]) for i, v in enumerate(values)]


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_nan_is_never_the_best_and_ties_stay_in_order(order, higher):
    values = np.array([np.nan, 0.5, np.nan, 0.2])[list(order)]
    results = Results(trials(values), "auc", {"auc": higher})
    ranked = [trial.mean("auc") for trial in results]
    np.testing.assert_equal(
        ranked, [*sorted([0.5, 0.2], reverse=higher), np.nan, np.nan]
    )
    assert results.best.mean("auc") == (0.5 if higher else 0.2)
    assert [row[0] for row in results.table()[1:]] == ["1", "2", "-", "-"]
    assert json.loads(results.to_json())["trials"][2]["scores"] == [
        {"auc": None, "loss": 1.0}
    ]
    same = Results(trials([0.5] * 3), "auc", {"auc": higher})
    assert [trial.settings["i"] for trial in same] == [0, 1, 2]


def test_nan_alone_is_no_best():
    results = Results(trials([np.nan, np.nan]), "auc", {"auc": True})
    with pytest.raises(ValueError, match="auc is NaN for every setting"):
        _ = results.best


def test_results_made_by_hand_ask_for_the_direction():
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
