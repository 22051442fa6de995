"""GridSearch: what GridSearchCV finds, trained side by side."""

import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")
import sklearn
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline

from tests.cases import in_turns
from tests.estimators.examples import (
    CLASSIFIER,
    REGRESSOR,
    TASKS,
    both,
    draw,
    multiclass,
    quietly,
)
from xpnet.estimators import prefit
from xpnet.sklearn import GridSearch

OPTIONS = {"random_state": 0, "max_iter": 6, "device": "cpu", "batch_size": 16}
ROWS = np.arange(70)
GRIDS = {
    "numbers": {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-3, 0.02]},
    "shapes": {"hidden_layer_sizes": [(5,), (6, 4)], "alpha": [0.0, 0.3]},
    "seeds": [{"random_state": [1, 2]}, {"momentum": [0.5, 0.8], "solver": ["sgd"]}],
    "noise": {"dropout": [0.1, 0.4], "tol": [1e-4, 0.1], "n_iter_no_change": [1]},
    "held out": {"early_stopping": [True], "validation_fraction": [0.2, 0.3]},
}


def pair(task, grid, weights=None, **options):
    """GridSearchCV over our estimator, and our GridSearch."""

    kind, data, own = TASKS[task]
    x, y = data()
    options = {"cv": 3, **options}
    more = {} if weights is None else {"sample_weight": weights}
    found = []
    for search in (GridSearchCV, GridSearch):
        estimator = both(kind)[1](**OPTIONS, **own)
        search = search(estimator, grid, **options)
        found.append(quietly(lambda s: s.fit(x, y, **more), search))
    return (*found, x)


def assert_alike(theirs, ours, x):
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for name, values in theirs.cv_results_.items():
        if name.startswith(("split", "mean_test", "std_test", "mean_train")):
            np.testing.assert_allclose(
                ours.cv_results_[name], values, rtol=1e-7, atol=1e-9
            )
        elif not name.endswith("time"):
            assert list(ours.cv_results_[name]) == list(values)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)
    np.testing.assert_array_equal(
        ours.best_estimator_.predict(x), theirs.best_estimator_.predict(x)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "task"), in_turns(GRIDS, ["multiclass", "several numbers"])
)
def test_the_results_are_those_of_grid_search_cv(task, grid):
    theirs, ours, x = pair(task, GRIDS[grid])
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 3 * len(ours.cv_results_["params"])
    assert (ours.cv_results_["mean_fit_time"] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multilabel", "poisson"])
def test_weighted_samples_of_every_task_are_stacked(task):
    w = draw(9).integers(1, 4, 70).astype(float)
    grid = {"alpha": [1e-4, 1.0]}
    theirs, ours, x = pair(task, grid, w, return_train_score=True)
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 6


@pytest.mark.slow
def test_several_scores_and_a_splitter_that_shuffles():

    folds = ShuffleSplit(2, random_state=0)
    options = {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}
    theirs, ours, x = pair("multiclass", GRIDS["numbers"], cv=folds, **options)
    assert_alike(theirs, ours, x)
    assert ours.cv is folds
    unseeded = ShuffleSplit(2)
    _, ours, _ = pair("multiclass", GRIDS["numbers"], cv=unseeded)
    assert ours.stacked_ == 8


REASONS = {
    "takes all samples at once": {"solver": ["lbfgs"]},
    "other classes or class weights": {"class_weight": ["balanced"]},
    "must be a whole number": {"random_state": [np.random.RandomState(0)]},
}


def searching(grid, **options):
    return GridSearch(both(CLASSIFIER)[1](**OPTIONS), grid, **options)


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_be_stacked_is_looped_over_and_told(reason):
    x, y = multiclass()
    grid = [{"alpha": [0.1, 0.2]}, REASONS[reason]]
    estimator = both(CLASSIFIER)[1](**OPTIONS)
    theirs = quietly(GridSearchCV(estimator, grid, cv=3).fit, x, y)
    search = searching(grid, cv=3)
    with pytest.warns(UserWarning, match=f"one by one: .*{reason}"):
        ours = quietly(search.fit, x, y)
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 6


def test_a_fold_without_a_class_is_looped_over():
    x, y = multiclass()
    y = 2 * (y > 0) + (x[:, 2] > 0)
    for missing in (0, 3):
        some, rest = ROWS[y != missing], (ROWS[20:], ROWS[:20])
        cv = [(some, ROWS), (ROWS[:40], ROWS[40:]), rest]
        search = searching({"alpha": [0.1, 0.2]}, cv=cv)
        with pytest.warns(UserWarning, match="other classes"):
            quietly(search.fit, x, y)
        assert search.stacked_ == 4
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_time_of_a_fit_is_its_share_of_the_stack(monkeypatch):
    hours = SimpleNamespace(perf_counter=itertools.count(0.0, 3600.0).__next__)
    monkeypatch.setattr("xpnet.estimators.prefit.time", hours)
    _, ours, _ = pair("multiclass", GRIDS["numbers"])
    np.testing.assert_allclose(ours.cv_results_["mean_fit_time"], 300.0, atol=10.0)


def test_a_setting_that_diverges_has_no_score_and_is_never_best():

    x, y = TASKS["numbers"][1]()
    estimator = both(REGRESSOR)[1](**OPTIONS, solver="sgd")
    search = GridSearch(estimator, {"learning_rate_init": [1e12, 0.001]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.warns(FitFailedWarning, match="2 fits failed"):
            quietly(search.fit, x, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert search.best_params_ == {"learning_rate_init": 0.001}


def test_other_estimators_are_searched_as_grid_search_cv_would():
    x, y = multiclass()
    pipe = make_pipeline(both(CLASSIFIER)[1](**OPTIONS))
    search = GridSearch(pipe, {"mlpclassifier__alpha": [0.1]}, cv=2)
    with pytest.warns(UserWarning, match="got a Pipeline"):
        quietly(search.fit, x, y)
    assert search.best_params_ == {"mlpclassifier__alpha": 0.1}
    with pytest.raises(ValueError, match="Invalid parameter 'alfa'"):
        searching({"alfa": [1]}).fit(x, y)


HALVES = [(ROWS[:33], ROWS[33:]), (ROWS[30:], ROWS[:30])]
FAILING = {  # arguments of the estimator, folds, parameters, why nothing is stacked
    "a batch of one": ({"batch_norm": True}, HALVES, {"alpha": [0.1, 0.2]}, "a stack"),
    "NaN in a fold": ({}, HALVES, {"alpha": [0.1, 0.2]}, "not all samples fit"),
    "a bad number": ({}, HALVES, {"alpha": [0.1, -1.0]}, ""),
    "no samples": ({}, [(ROWS[:0], ROWS), HALVES[1]], {"alpha": [0.1, 0.2]}, ""),
}


def outcome(kind, arguments, fold, grid, error_score, failing):
    """(scores or error, warnings) of a search over our estimator."""
    x, y = multiclass()
    if failing.startswith("NaN"):
        x[0] = np.nan
    estimator = both(CLASSIFIER)[1](**{**OPTIONS, "max_iter": 2, **arguments})
    search = kind(estimator, grid, cv=fold, error_score=error_score, refit=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            scores = search.fit(x, y).cv_results_
            found = [scores["split0_test_score"], scores["split1_test_score"]]
        except ValueError as error:
            found = str(error)
    return found, [str(w.message) for w in told], {w.category.__name__ for w in told}


@pytest.mark.parametrize(
    ("failing", "error_score"),
    [*in_turns(FAILING, [np.nan, "raise"]), *in_turns(FAILING, ["raise", -1.0])],
)
def test_a_fold_that_fails_is_what_it_is_in_grid_search_cv(failing, error_score):
    *options, reason = FAILING[failing]
    theirs, _, kinds = outcome(GridSearchCV, *options, error_score, failing)
    ours, told, our_kinds = outcome(GridSearch, *options, error_score, failing)
    if isinstance(theirs, str):
        assert ours == theirs
    else:
        np.testing.assert_array_equal(ours, theirs)
        assert "FitFailedWarning" in our_kinds
    assert our_kinds - {"UserWarning"} == kinds - {"UserWarning"}
    assert any("one by one" in text and reason in text for text in told) == bool(reason)


ROUTES = {  # what the estimator asks for, what the scorer does, what fit is given
    "groups": (None, None, ["groups"]),
    "weights": (True, True, ["groups", "sample_weight"]),
    "weights of fits": (True, False, ["groups", "sample_weight"]),
    "weights of scores": (False, True, ["groups", "sample_weight"]),
    "weights by another name": ("mine", False, ["groups", "mine"]),
    "unasked": (False, False, ["groups", "sample_weight"]),
    "undecided": (None, None, ["groups", "sample_weight"]),
    "without groups": (None, None, []),
}


@pytest.mark.parametrize("route", ROUTES)
def test_metadata_are_routed_as_in_grid_search_cv(route):

    fit, score, names = ROUTES[route]
    x, y = multiclass()
    w = np.linspace(0.2, 3.0, 70)
    given = {"groups": ROWS // 5, "sample_weight": w, "mine": w}
    given = {name: given[name] for name in names}
    found = []
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(accuracy_score)
        estimator = both(CLASSIFIER)[1](**{**OPTIONS, "max_iter": 2})
        if fit is not None:
            estimator.set_fit_request(sample_weight=fit)
            scorer.set_score_request(sample_weight=score)
        for kind in (GridSearchCV, GridSearch):
            search = kind(
                estimator, {"alpha": [0.1, 2.0]}, cv=GroupKFold(3), scoring=scorer
            )
            try:
                quietly(lambda s: s.fit(x, y, **given), search)
            except (TypeError, ValueError) as error:
                found.append((type(error), str(error).replace(kind.__name__, "it")))
            else:
                found.append(search.cv_results_["mean_test_score"].tolist())
    assert found[0] == found[1]
    if isinstance(found[0], list):
        assert search.stacked_ == 6


def test_stacks_that_are_not_used_are_told(monkeypatch):
    marks = itertools.count()
    monkeypatch.setattr(prefit, "fingerprint", lambda *_: next(marks))
    search = searching({"alpha": [0.1, 0.2]}, cv=2)
    with pytest.warns(UserWarning, match="4 networks were trained in stacks and not"):
        quietly(search.fit, *multiclass())
