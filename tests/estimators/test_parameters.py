"""Parameters that scikit-learn's MLP refuses are refused, and weights of classes."""

from inspect import signature

import numpy as np
import pytest

from tests.estimators.examples import (
    CLASSIFIER,
    REGRESSOR,
    both,
    multiclass,
    multilabel,
    numbers,
    quietly,
)
from xpnet.estimators import losses

VALUES = [
    *("yes", "", b"x", None, {}, object(), 1j, "1", -1, 0, 1, 1.5, -0.5, 1e400),
    *(-np.inf, np.nan, [0], [-1], ["a"], [1.5], (2, 3), np.float32(2.5), np.int64(-3)),
]
OWN = ("loss", "class_weight", "dropout", "batch_norm", "callbacks", "device", "dtype")
OWN_VALUES = ["yes", b"x", {"a": 1}, object(), 1j, -1, 2.5, np.nan, [3], ["a", "b"]]


def refused(function, *arguments):
    try:
        quietly(function, *arguments)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [CLASSIFIER, REGRESSOR])
def test_what_scikit_learn_refuses_is_refused(name):
    theirs, kind = both(name)
    x, y = multiclass(20) if name == CLASSIFIER else numbers(20)
    shared = set(theirs().get_params()) - {"loss"}
    wrong = [
        f"{parameter}={value!r}"
        for parameter in sorted(shared)
        for value in VALUES
        if refused(theirs(**{parameter: value})._validate_params)
        and not refused(kind(**{"max_iter": 1, parameter: value}).fit, x, y)
    ]
    assert not wrong


@pytest.mark.parametrize("name", [CLASSIFIER, REGRESSOR])
def test_parameters_of_our_own_are_checked_too(name):
    kind = both(name)[1]
    x, y = multiclass(20) if name == CLASSIFIER else numbers(20)
    wrong = [
        f"{parameter}={value!r}"
        for parameter in OWN
        if parameter in kind().get_params()
        for value in OWN_VALUES
        if not refused(kind(**{"max_iter": 1, parameter: value}).fit, x, y)
    ]
    assert not wrong


W = np.linspace(0.2, 3.0, 70)


@pytest.mark.parametrize("several", [False, True])
def test_balanced_classes_are_balanced_in_the_weights(several):
    """As if each sample were there as often as its weight says."""
    x, y = multilabel() if several else multiclass()
    w = np.arange(70) % 4  # some are not there at all
    options = {"max_iter": 3, "random_state": 0, "shuffle": False, "device": "cpu"}
    options |= {"class_weight": "balanced", "batch_size": 70, "solver": "sgd"}
    weighted = both(CLASSIFIER)[1](**options)
    quietly(weighted.fit, x, y, w)
    options["batch_size"] = int(w.sum())
    repeated = both(CLASSIFIER)[1](**options)
    quietly(repeated.fit, np.repeat(x, w, 0), np.repeat(y, w, 0))
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9)


def test_balanced_classes_are_those_of_scikit_learn():
    from sklearn.utils import compute_class_weight

    x, y = multiclass()
    known = both(CLASSIFIER)[1](max_iter=3, random_state=0, device="cpu")
    if "sample_weight" not in signature(compute_class_weight).parameters:
        pytest.skip("scikit-learn counts no weights yet")
    shares = compute_class_weight(
        "balanced", classes=np.unique(y), y=y, sample_weight=W
    )
    quietly(known.fit, x, y, W * shares[y])
    balanced = both(CLASSIFIER)[1](**known.get_params())
    quietly(balanced.set_params(class_weight="balanced").fit, x, y, W)
    np.testing.assert_allclose(balanced.coefs_[0], known.coefs_[0], rtol=1e-12)


def test_a_class_whose_samples_all_weigh_nothing_is_absent():
    x, y = multiclass()
    model = both(CLASSIFIER)[1](max_iter=3, class_weight="balanced", device="cpu")
    quietly(model.fit, x, y, (y != 1).astype(float))
    assert np.isfinite(model.coefs_[0]).all()


def test_a_chunk_may_lack_classes_that_have_a_weight():
    x, y = multiclass()
    weights = {0: 2.0, 1: 3.0, 2: 0.5}
    chunks = [y != 1, y == 1, y < 3]
    options = {"random_state": 0, "device": "cpu"}
    one = both(CLASSIFIER)[1](class_weight=weights, **options)
    two = both(CLASSIFIER)[1](**options)
    for rows in chunks:
        one.partial_fit(x[rows], y[rows], classes=[0, 1, 2])
        w = np.array([weights[label] for label in y[rows]])
        two.partial_fit(x[rows], y[rows], w, classes=[0, 1, 2])
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    with pytest.raises(ValueError, match="are not in class_weight"):
        one.set_params(class_weight={0: 1.0, 7: 1.0}).partial_fit(x, y)


@pytest.mark.parametrize("name", [CLASSIFIER, REGRESSOR])
def test_every_parameter_is_documented_and_given_as_in_scikit_learn(name):
    theirs, kind = both(name)
    arguments = kind.__doc__.split("Args:")[1].split("Attributes:")[0]
    assert [n for n in kind().get_params() if n not in arguments] == []
    assert "loss_curve_" in kind.__doc__
    assert not {"{parameters}", "{attributes}"} & set(kind.__doc__.split())
    ours = list(signature(kind).parameters.values())
    shared = signature(theirs).parameters
    places = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert places == [p for p, v in shared.items() if v.kind is v.POSITIONAL_OR_KEYWORD]
    defaults = {p.name: p.default for p in ours}
    assert defaults.items() >= {n: p.default for n, p in shared.items()}.items()
    with pytest.raises(TypeError, match="'alfa'"):
        kind(alfa=1)


@pytest.mark.parametrize("name", ["squared_error", "poisson", "log_loss"])
def test_the_gradient_of_a_loss_is_its_derivative(name):

    loss = (
        losses.SummedBinaryCrossEntropy()
        if name == "log_loss"
        else losses.regression_loss(name)
    )
    z = np.linspace(-2.0, 2.0, 12).reshape(4, 3)
    t = np.linspace(0.0, 1.0, 12).reshape(4, 3)
    h = 1e-6
    for j in range(3):
        step = h * np.eye(3)[j]
        slope = (loss.rows(z + step, t) - loss.rows(z - step, t)) / (2 * h)
        np.testing.assert_allclose(slope[:, 0], loss.gradient(z, t)[:, j], atol=1e-7)
