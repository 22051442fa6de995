"""GridSearch: what GridSearchCV finds, trained side by side."""

import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from tests.estimators.examples import (
    CLASSIFIER,
    REGRESSOR,
    TASKS,
    both,
    draw,
    multiclass,
    quietly,
)

OPTIONS = {"random_state": 0, "max_iter": 6, "device": "cpu", "batch_size": 16}
GRIDS = {
    "numbers": {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-3, 0.02]},
    "shapes": {"hidden_layer_sizes": [(5,), (6, 4)], "alpha": [0.0, 0.3]},
    "seeds": [{"random_state": [1, 2]}, {"momentum": [0.5, 0.8], "solver": ["sgd"]}],
    "noise": {"dropout": [0.1, 0.4], "tol": [1e-4, 0.1], "n_iter_no_change": [1]},
    "held out": {"early_stopping": [True], "validation_fraction": [0.2, 0.3]},
}


def pair(task, grid, weights=None, **options):
    """GridSearchCV over our estimator, and our GridSearch."""
    from sklearn.model_selection import GridSearchCV

    from xpnet.sklearn import GridSearch

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


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("task", ["multiclass", "several numbers"])
def test_the_results_are_those_of_grid_search_cv(task, grid):
    theirs, ours, x = pair(task, GRIDS[grid])
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 3 * len(ours.cv_results_["params"])
    assert (ours.cv_results_["mean_fit_time"] > 0).all()


@pytest.mark.parametrize("task", ["binary", "multilabel", "poisson"])
def test_weighted_samples_of_every_task_are_stacked(task):
    w = draw(9).integers(1, 4, 70).astype(float)
    theirs, ours, x = pair(task, GRIDS["numbers"], w, return_train_score=True)
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 12


def test_several_scores_and_a_splitter_that_shuffles():
    from sklearn.model_selection import ShuffleSplit

    folds = ShuffleSplit(2, random_state=0)
    options = {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}
    theirs, ours, x = pair("multiclass", GRIDS["numbers"], cv=folds, **options)
    assert_alike(theirs, ours, x)
    assert ours.cv is folds
    unseeded = ShuffleSplit(2)
    _, ours, _ = pair("multiclass", GRIDS["numbers"], cv=unseeded)
    assert ours.stacked_ == 8


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"solver": ["lbfgs"]}, "takes all samples at once"),
        ({"class_weight": ["balanced"]}, "other classes or class weights"),
        ({"random_state": [np.random.RandomState(0)]}, "must be a whole number"),
    ],
)
def test_what_cannot_be_stacked_is_looped_over_and_told(options, reason):
    from sklearn.model_selection import GridSearchCV

    from xpnet.sklearn import GridSearch

    x, y = multiclass()
    grid = [{"alpha": [0.1, 0.2]}, options]
    estimator = both(CLASSIFIER)[1](**OPTIONS)
    theirs = quietly(GridSearchCV(estimator, grid, cv=3).fit, x, y)
    search = GridSearch(estimator, grid, cv=3)
    with pytest.warns(UserWarning, match=f"one by one: .*{reason}"):
        ours = quietly(search.fit, x, y)
    assert_alike(theirs, ours, x)
    assert ours.stacked_ == 6


@pytest.mark.parametrize("missing", [0, 3])
def test_a_fold_without_a_class_is_looped_over(missing):
    from xpnet.sklearn import GridSearch

    x, y = multiclass()
    y = 2 * (y > 0) + (x[:, 2] > 0)
    rows = np.arange(70)
    cv = [(rows[y != missing], rows), (rows[:40], rows[40:]), (rows[20:], rows[:20])]
    search = GridSearch(both(CLASSIFIER)[1](**OPTIONS), {"alpha": [0.1, 0.2]}, cv=cv)
    with pytest.warns(UserWarning, match="other classes"):
        quietly(search.fit, x, y)
    assert search.stacked_ == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_time_of_a_fit_is_its_share_of_the_stack(monkeypatch):
    hours = SimpleNamespace(perf_counter=itertools.count(0.0, 3600.0).__next__)
    monkeypatch.setattr("xpnet.estimators.pool.time", hours)
    _, ours, _ = pair("multiclass", GRIDS["numbers"])
    np.testing.assert_allclose(ours.cv_results_["mean_fit_time"], 300.0, atol=10.0)


def test_a_setting_that_diverges_has_no_score_and_is_never_best():
    from sklearn.exceptions import FitFailedWarning

    from xpnet.sklearn import GridSearch

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
    from sklearn.pipeline import make_pipeline

    from xpnet.sklearn import GridSearch

    x, y = multiclass()
    pipe = make_pipeline(both(CLASSIFIER)[1](**OPTIONS))
    search = GridSearch(pipe, {"mlpclassifier__alpha": [0.1]}, cv=2)
    with pytest.warns(UserWarning, match="got a Pipeline"):
        quietly(search.fit, x, y)
    assert search.best_params_ == {"mlpclassifier__alpha": 0.1}


def test_a_misspelt_parameter_is_named():
    from xpnet.sklearn import GridSearch

    with pytest.raises(ValueError, match="Invalid parameter 'alfa'"):
        GridSearch(both(CLASSIFIER)[1](**OPTIONS), {"alfa": [1]}).fit(*multiclass())
