"""The same weights, curves and scores as scikit-learn's MLP, where nothing is drawn."""

from inspect import signature

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import train_test_split

from tests.cases import in_turns
from tests.estimators.examples import (
    CLASSIFIER,
    REGRESSOR,
    TASKS,
    both,
    draw,
    multiclass,
    numbers,
    quietly,
    standard,
)

PLAIN = {
    "random_state": 3,
    "shuffle": False,
    "max_iter": 12,
    "learning_rate_init": 0.01,
}


def pair(kind, x, y, weights=None, **options):
    """Both estimators, fitted alike.

    Skips what scikit-learn's does not have yet: weights and `loss` came with 1.7.
    """
    options = {**PLAIN, **options}
    theirs = both(kind)[0]
    weighted = {} if weights is None else {"sample_weight": weights}
    lacks = weighted.keys() - signature(theirs.fit).parameters.keys()
    lacks |= options.keys() - signature(theirs).parameters.keys()
    if lacks:
        pytest.skip(f"scikit-learn {sklearn.__version__} has no {', '.join(lacks)}")
    return [quietly(c(**options).fit, x, y, **weighted) for c in both(kind)]


def assert_alike(theirs, ours, rtol=1e-9):
    for a, b in zip(
        theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True
    ):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol, atol=rtol)
    assert ours.n_iter_ == theirs.n_iter_
    for name in ("n_layers_", "n_outputs_", "out_activation_", "t_"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize(("task", "weighted"), in_turns(TASKS, [True, True, False]))
def test_gradient_descent_gives_the_weights_of_scikit_learn(task, weighted):
    kind, data, own = TASKS[task]
    x, y = data()
    w = draw(6).integers(0, 4, len(x)).astype(float) if weighted else None
    options = {"solver": "sgd", "alpha": 0.7, "hidden_layer_sizes": (6, 5), **own}
    assert_alike(*pair(kind, x, y, w, batch_size=32, **options))


ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]


@pytest.mark.parametrize(("task", "activation"), in_turns(TASKS, ACTIVATIONS))
def test_adam_gives_the_weights_of_scikit_learn(task, activation):
    kind, data, own = TASKS[task]
    x, y = data()
    theirs, ours = pair(kind, x, y, activation=activation, alpha=0.1, **own)
    assert_alike(theirs, ours, rtol=1e-7)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-7)


@pytest.mark.parametrize("rate", ["constant", "invscaling", "adaptive"])
def test_the_rate_and_the_end_of_training_are_those_of_scikit_learn(rate):
    options = {"solver": "sgd", "learning_rate": rate, "tol": 1e-3}
    options |= {"max_iter": 400, "learning_rate_init": 0.05, "n_iter_no_change": 3}
    theirs, ours = pair(CLASSIFIER, *multiclass(), **options)
    assert 5 < ours.n_iter_ < 400
    assert_alike(theirs, ours)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-9)


# task, alpha, the unit of the weights, solver, early stopping: each with each other
# in some row.
CURVES = [
    ("multiclass", 0.0, 1.0, "sgd", False),
    ("multiclass", 0.0, 1e-31, "adam", True),
    ("multiclass", 0.5, 1.0, "adam", False),
    ("numbers", 0.0, 1.0, "adam", True),
    ("numbers", 0.0, 1e-31, "sgd", False),
    ("numbers", 0.5, 1.0, "sgd", True),
    ("several numbers", 0.0, 1.0, "adam", False),
    ("several numbers", 0.0, 1e-31, "adam", False),
    ("several numbers", 0.5, 1.0, "sgd", True),
]


@pytest.mark.parametrize(("task", "alpha", "unit", "solver", "early"), CURVES)
def test_curves_and_the_end_follow_weights_as_in_scikit_learn(
    task, alpha, unit, solver, early
):
    kind, data, _ = TASKS[task]
    x, y = data(110)
    w = unit * draw(4).random(110) ** 3 * np.where(np.arange(110) % 37, 1.0, 50.0)
    options = {"alpha": alpha, "solver": solver, "early_stopping": early, "tol": 1e-3}
    options |= {"batch_size": 16, "max_iter": 60, "n_iter_no_change": 2}
    theirs, ours = pair(kind, x, y, w, **options, hidden_layer_sizes=(6,))
    assert_alike(theirs, ours, rtol=1e-6)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "numbers"])
def test_early_stopping_holds_out_the_same_samples_and_keeps_the_best(task):
    kind, data, _ = TASKS[task]
    options = {"early_stopping": True, "solver": "sgd", "max_iter": 40}
    theirs, ours = pair(kind, *data(200), **options, n_iter_no_change=4)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert ours.best_loss_ is theirs.best_loss_ is None
    assert_alike(theirs, ours)


def test_float32_samples_give_float32_weights():
    x, y = multiclass()
    theirs, ours = pair(CLASSIFIER, x.astype(np.float32), y, solver="sgd")
    assert ours.coefs_[0].dtype == np.float32
    assert_alike(theirs, ours, rtol=1e-4)
    assert ours.predict_proba(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("kind", [CLASSIFIER, REGRESSOR])
def test_epochs_one_by_one_are_those_of_scikit_learn(kind):
    x, y = multiclass() if kind == CLASSIFIER else numbers()
    options = {**PLAIN, "solver": "sgd", "batch_size": 20}
    classes = {"classes": np.unique(y)} if kind == CLASSIFIER else {}
    fitted = [c(**options) for c in both(kind)]
    for part in (slice(0, 50), slice(30, 70), slice(10, 20)):
        for estimator in fitted:
            if part.stop - part.start < 20:
                estimator.set_params(batch_size="auto")
            estimator.partial_fit(x[part], y[part], **classes)
    assert_alike(*fitted)
    assert len(fitted[1].loss_curve_) == 3


def test_a_warm_start_goes_on_as_scikit_learn_does():
    """And the loss of one batch an epoch is that of scikit-learn to rounding."""
    x, y = numbers()
    options = {**PLAIN, "warm_start": True, "solver": "sgd", "alpha": 5.0}
    theirs, ours = fitted = [c(**options) for c in both(REGRESSOR)]
    for estimator in fitted * 2:
        quietly(estimator.fit, x, y)
    assert_alike(theirs, ours)
    assert len(ours.loss_curve_) == 24
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert ours.loss_ == ours.loss_curve_[-1]


@pytest.mark.parametrize("task", ["multiclass", "numbers"])
def test_lbfgs_finds_the_same_minimum_where_there_is_one(task):
    kind, data, _ = TASKS[task]
    options = {"solver": "lbfgs", "alpha": 3.0, "hidden_layer_sizes": ()}
    theirs, ours = pair(kind, *data(), **options, max_iter=500, tol=1e-9)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-2, atol=1e-3)
    assert ours.t_ == theirs.t_ == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_scores_on_unseen_samples_are_within_the_spread(name):
    kind, x, y = standard(name)
    a, b, c, d = train_test_split(x, y, random_state=0)
    options = {"max_iter": 25 if name == "digits" else 60}
    options |= {"learning_rate_init": 0.1} if name == "diabetes" else {}
    theirs, ours = np.array([
        [quietly(e(random_state=s, **options).fit, a, c).score(b, d) for s in range(3)]
        for e in both(kind)
    ])  # fmt: skip
    assert ours.mean() > theirs.mean() - 2.0 * theirs.std() - 0.02
