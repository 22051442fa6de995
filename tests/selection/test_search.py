"""Searches: what a loop over single trainings would find, and nothing leaks."""

import json
import os
import signal

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import (
    QUICK,
    SAMPLES,
    data,
    make,
    make_regression,
)
from xpnet.data import SCALERS, split_indices
from xpnet.selection import Ensemble, exhaustive
from xpnet.selection import runner as runners
from xpnet.selection.fold_data import Split
from xpnet.selection.halving import rounds


def by_hand(settings, folds, x, y, scale=None, validation=0.0, repeats=1, **options):
    """[[scores of each fold] of each setting]: a loop over trainers."""
    found = []
    for row in settings:
        scores = []
        for i, (train, test) in enumerate(folds):
            held = None
            if validation:
                a, b = split_indices(len(train), (1 - validation, validation), y[train])
                train, held = train[np.sort(a)], train[b]
            sx = x if scale is None else SCALERS[scale].fit(x[train]).transform(x)
            trainer = make(**row, seed=i // (len(folds) // repeats))
            callbacks = [xn.EarlyStopping(patience=1)] if validation else []
            trainer.fit(
                sx[train], y[train], 3, 8, callbacks=callbacks, verbose=False,
                validation=None if held is None else (sx[held], y[held]), **options,
            )  # fmt: skip
            scores.append(trainer.evaluate(sx[test], y[test]))
        found.append(scores)
    return found


SPACE = {"learning_rate": [0.3, 0.01], "dropout": [0.0, 0.4], "hidden": [6, 4]}
SETTINGS = [
    {"learning_rate": r, "dropout": d, "hidden": h}
    for r in SPACE["learning_rate"] for d in SPACE["dropout"] for h in SPACE["hidden"]
]  # fmt: skip


@pytest.mark.parametrize("options", [
    {}, {"scale": "minmax", "class_weight": "balanced"},
    {"scale": "standard", "validation": 0.25},
], ids=["plain", "balanced", "stopped"])  # fmt: skip
def test_a_grid_is_the_loop_over_single_trainings(options):
    x, y = data()
    folds = xn.k_folds(SAMPLES, 3, stratify=y)
    extra = dict(options)
    if options.get("validation"):
        extra["callbacks"] = xn.EarlyStopping(patience=1)
    results = xn.grid_search(make, x, y, SPACE, folds=3, **QUICK, **extra)
    wanted = by_hand(SETTINGS, folds, x, y, **options)
    for trial, row, scores in zip(results.trials, SETTINGS, wanted, strict=True):
        assert trial.settings == row
        for a, b in zip(trial.scores, scores, strict=True):
            assert a == pytest.approx(b, abs=1e-10)
    means = [np.mean([s["accuracy"] for s in scores]) for scores in wanted]
    assert results.best.mean("accuracy") == pytest.approx(max(means))
    assert results.best is results.ranked[0] is next(iter(results))
    if not options:  # repeats have other folds and other seeds
        folds = xn.k_folds(SAMPLES, 2, stratify=y, repeats=3)
        result = xn.cross_validate(make, x, y, folds=2, repeats=3, **QUICK)
        (wanted,) = by_hand([{}], folds, x, y, repeats=3)
        for a, b in zip(result.best.scores, wanted, strict=True):
            assert a == pytest.approx(b, abs=1e-10)


def test_settings_of_one_architecture_are_one_stack(monkeypatch):
    sizes = []

    class Counted(xn.Stack):
        def __init__(self, trainers):
            sizes.append(len(trainers))
            super().__init__(trainers)

    monkeypatch.setattr(exhaustive, "Stack", Counted)
    x, y = data()
    xn.grid_search(make, x, y, SPACE, folds=3, scale="standard", **QUICK)
    assert sizes == [12, 12]
    sizes.clear()
    xn.grid_search(make, x, y, SPACE | {"batch_size": [4, 8]}, folds=3, at_once=5,
                   epochs=1, verbose=False)  # fmt: skip
    assert sorted(sizes) == [2] * 4 + [5] * 8
    sizes.clear()
    monkeypatch.setattr(runners, "COPIES", 2 * x.nbytes)
    xn.cross_validate(make, x, y, folds=5, scale="standard", **QUICK)
    assert sizes == [2, 2, 1]


def test_epochs_and_batch_size_may_be_settings():
    x, y = data()
    space = {"epochs": [1, 4], "batch_size": [8, 47 // 3]}
    results = xn.grid_search(make, x, y, space, folds=2, verbose=False)
    assert [t.epochs for t in results.trials] == [[1, 1], [1, 1], [4, 4], [4, 4]]
    folds = xn.k_folds(SAMPLES, 2, stratify=y)
    trainer = make()
    trainer.fit(x[folds[1][0]], y[folds[1][0]], 4, 15, verbose=False)
    wanted = trainer.evaluate(x[folds[1][1]], y[folds[1][1]])
    assert results.trials[3].scores[1] == pytest.approx(wanted, abs=1e-10)


def test_a_regression_is_scored_in_its_own_units():
    x, y = data(regression=True)
    result = xn.cross_validate(
        make_regression, x, y, folds=3, scale="standard", scale_y=True, **QUICK
    )
    for (train, test), scores in zip(
        xn.k_folds(SAMPLES, 3), result.best.scores, strict=True
    ):
        sx = xn.Standardizer.fit(x[train])
        sy = xn.Standardizer.fit(y[train])
        trainer = make_regression()
        trainer.fit(sx.transform(x[train]), sy.transform(y[train]), 3, 8, verbose=False)
        p = sy.inverse(trainer.predict(sx.transform(x[test])))
        error = abs(p - y[test]).mean()
        assert scores["mean_absolute_error"] == pytest.approx(error, abs=1e-9)
    assert result.monitor == "r2"


# Nothing leaks.


FEW = {"learning_rate": [0.3, 0.01]}
RANGE = {"learning_rate": xn.LogUniform(1e-3, 1.0)}
SEARCHES = {
    "grid": lambda x, y, **o: xn.grid_search(make, x, y, FEW, **o),
    "random": lambda x, y, **o: xn.random_search(make, x, y, RANGE, 4, **o),
    "halving": lambda x, y, **o: xn.halving_search(make, x, y, RANGE, 4, **o),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_what_the_test_part_holds_changes_no_choice(search):
    """Other samples in the test part: the same scores, the same best setting."""
    x, y = data()
    _, aside = split_indices(SAMPLES, (0.8, 0.2), y)
    other = x.copy()
    other[aside] *= 1e3
    options = {"folds": 3, "scale": "standard", "test": 0.2, **QUICK}
    first, second = (SEARCHES[search](part, y, **options) for part in (x, other))
    assert [t.scores for t in first.trials] == [t.scores for t in second.trials]
    assert first.best.settings == second.best.settings
    assert first.test != second.test


def test_what_a_fold_holds_out_changes_none_of_its_training():
    x, y = data()
    folds = xn.k_folds(SAMPLES, 3, stratify=y)
    other = x.copy()
    other[folds[0][1]] += 1e3
    options = runners.Checked(epochs=2, batch_size=8, scale="standard", verbose=False)
    found = []
    for part in (x, other):
        runner = runners.Runner(make, part, y, options)
        runner.cut([Split(*fold) for fold in folds])
        jobs = [runner.job(runner.trial({}), 0)]
        stack = xn.Stack([runner.network({}, 0)])
        runner.fit(stack, runner.fold_data(jobs), jobs, 2, lambda n: None)
        found.append(stack[0].snapshot()[0])
    assert np.array_equal(*found)


def test_the_test_score_is_of_the_best_setting_trained_on_all_the_rest():
    x, y = data()
    results = xn.grid_search(
        make, x, y, {"learning_rate": [0.3, 0.01]}, folds=3, scale="standard", test=0.2,
        **QUICK,
    )  # fmt: skip
    rest, aside = split_indices(SAMPLES, (0.8, 0.2), y)
    rest = np.sort(rest)
    scaler = xn.Standardizer.fit(x[rest])
    trainer = make(**results.best.settings)
    trainer.fit(scaler.transform(x[rest]), y[rest], 3, 8, verbose=False)
    wanted = trainer.evaluate(scaler.transform(x[aside]), y[aside])
    assert results.test == pytest.approx(wanted, abs=1e-9)


def test_groups_stay_together_in_the_test_part_too(monkeypatch):
    x, y = data()
    groups = np.arange(SAMPLES) // 4
    seen = []
    known = Ensemble.score

    def spy(ensemble, x, y, rows, weights):
        seen.append(rows)
        return known(ensemble, x, y, rows, weights)

    monkeypatch.setattr(Ensemble, "score", spy)
    xn.grid_search(make, x, y, {}, folds=3, groups=groups, test=0.25, **QUICK)
    (aside,) = seen
    rest = np.setdiff1d(np.arange(SAMPLES), aside)
    assert not set(groups[aside]) & set(groups[rest])
    assert 8 <= len(aside) <= 16


# Stopped, and gone on with.


class Press(xn.Callback):
    """Ctrl-C in the second stack."""

    calls = 0

    def on_epoch_end(self, trainer, row):
        Press.calls += 1
        if Press.calls == 20:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_search_is_stopped_and_gone_on_with(tmp_path, capsys):
    x, y = data()
    file = tmp_path / "deep" / "search.jsonl"
    options = {"folds": 3, "at_once": 6, "scale": "standard", **QUICK}
    space = {"learning_rate": [0.3, 0.1, 0.01, 0.03]}
    whole = xn.grid_search(make, x, y, space, callbacks=xn.Callback(), **options)
    Press.calls = 0
    first = xn.grid_search(make, x, y, space, callbacks=Press(), file=file, **options)
    assert first.interrupted
    assert "interrupted" in capsys.readouterr().err
    done = sum(s is not None for t in first.trials for s in t.scores)
    assert done == 6
    with open(file, "ab") as end:
        end.write(b'{"settings": "cut sh')
    Press.calls = 10**6
    second = xn.grid_search(make, x, y, space, callbacks=Press(), file=file, **options)
    assert Press.calls == 10**6 + 6 * 3, "what was done is not done again"
    assert [t.scores for t in second.trials] == [t.scores for t in whole.trials]
    assert not second.interrupted
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + 12
    assert all(json.loads(line) for line in lines)


def test_a_file_of_another_search_is_refused(tmp_path):
    x, y = data()
    file = tmp_path / "search.jsonl"
    xn.cross_validate(make, x, y, folds=3, file=file, **QUICK)
    before = file.read_bytes()
    for change in ({"folds": 4}, {"scale": "standard"}, {"seed": 1}):
        with pytest.raises(ValueError, match="another search"):
            xn.cross_validate(make, x, y, file=file, **{"folds": 3, **QUICK, **change})
    with pytest.raises(ValueError, match="another search"):
        xn.cross_validate(make, x + 1, y, folds=3, file=file, **QUICK)
    assert file.read_bytes() == before
    file.write_text("epoch,loss\n")
    with pytest.raises(ValueError, match="expected a file of a search"):
        xn.cross_validate(make, x, y, folds=3, file=file, **QUICK)


# Halving, learning curves.


def test_the_rounds_of_halving():
    assert rounds(27, 27, 3.0) == [(27, 1), (9, 3), (3, 9), (1, 27)]
    assert rounds(9, 30, 3.0) == [(9, 3), (3, 10), (1, 30)]
    assert rounds(8, 2, 2.0) == [(8, 1), (4, 2)]
    assert rounds(1, 5, 3.0) == [(1, 5)]


def test_halving_goes_on_with_the_best_where_they_are():
    x, y = data()
    space = {"learning_rate": xn.LogUniform(1e-4, 1.0), "hidden": [4, 6]}
    options = {"folds": 3, "scale": "standard", **(QUICK | {"epochs": 9})}
    halved = xn.halving_search(make, x, y, space, 9, **options)
    full = xn.random_search(make, x, y, space, 9, **options)
    assert sorted(max(t.epochs) for t in halved.trials) == [1] * 6 + [3] * 2 + [9]
    (winner,) = [t for t in halved.trials if max(t.epochs) == 9]
    assert halved.best is winner
    (same,) = [t for t in full.trials if t.settings == winner.settings]
    for a, b in zip(winner.scores, same.scores, strict=True):
        assert a == pytest.approx(b, abs=1e-10)
    early = xn.random_search(make, x, y, space, 9, **(options | {"epochs": 1}))
    ranks = sorted(early.trials, key=lambda t: -t.mean("accuracy"))
    stayed = [t.settings for t in halved.trials if max(t.epochs) > 1]
    cut = ranks[2].mean("accuracy")
    assert all(t.mean("accuracy") >= cut for t in early.trials if t.settings in stayed)
    assert sum("stopped after" in t.stopped_early for t in halved.trials) == 8


def test_a_learning_curve_trains_on_growing_parts_of_each_fold():
    x, y = data()
    curve = xn.learning_curve(
        make, x, y, [10, 0.5, 1.0], folds=3, scale="standard", **QUICK
    )
    folds = xn.k_folds(SAMPLES, 3, stratify=y)
    most = min(len(train) for train, _ in folds)
    assert curve.sizes == [10, round(0.5 * most), most]
    assert curve.test["accuracy"].shape == curve.train["loss"].shape == (3, 3)
    train, test = folds[2]
    rows = np.random.Generator(np.random.Philox(np.random.SeedSequence((0, 2))))
    own = np.sort(rows.permutation(train)[:10])
    scaler = xn.Standardizer.fit(x[own])
    trainer = make()
    trainer.fit(scaler.transform(x[own]), y[own], 3, 8, verbose=False)
    wanted = trainer.evaluate(scaler.transform(x[test]), y[test])
    seen = trainer.evaluate(scaler.transform(x[own]), y[own])
    assert curve.test["loss"][0, 2] == pytest.approx(wanted["loss"], abs=1e-10)
    assert curve.train["loss"][0, 2] == pytest.approx(seen["loss"], abs=1e-10)
    assert len(str(curve).splitlines()) == 4


# What comes of it.


def test_results_as_a_table_and_as_json(tmp_path):
    x, y = data()
    results = xn.grid_search(make, x, y, SPACE, folds=2, test=0.2, **QUICK)
    lines = str(results).splitlines()
    assert lines[0].split() == [
        "rank", "learning_rate", "dropout", "hidden", "accuracy", "loss",
    ]  # fmt: skip
    assert len(lines) == 1 + 8 + 1
    assert "±" in lines[1]
    file = tmp_path / "results.json"
    results.to_json(file)
    text = json.loads(file.read_text())
    assert text["monitor"] == "accuracy"
    assert text["test"] == results.test
    first, best = text["trials"][0], results.best
    assert first["settings"] == best.settings
    assert first["mean"]["loss"] == pytest.approx(best.mean("loss"))
    values = [scores["loss"] for scores in best.scores]
    assert best.mean("loss") == pytest.approx(np.mean(values))
    assert best.std("loss") == pytest.approx(np.std(values, ddof=1))
