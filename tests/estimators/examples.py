"""Small data of every kind that the estimators take, and their names."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")
from sklearn import datasets
from sklearn.preprocessing import scale

CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"


def draw(seed=5):
    return np.random.Generator(np.random.Philox(seed))


def features(n=70):
    return draw().standard_normal((n, 4))


def binary(n=70):
    x = features(n)
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)


def multiclass(n=70):
    x = features(n)
    return x, np.digitize(x[:, 0] + x[:, 1] ** 2, [0.0, 1.0])


def multilabel(n=70):
    x = features(n)
    return x, np.column_stack([x[:, 0] > 0, x[:, 1] > 0, x[:, 2] > x[:, 3]]).astype(int)


def numbers(n=70):
    x = features(n)
    return x, np.tanh(x[:, 0]) + x[:, 1] * x[:, 2]


def several_numbers(n=70):
    x, y = numbers(n)
    return x, np.column_stack([y, x[:, 3] - y])


def counts(n=70):
    x = features(n)
    return x, draw(8).poisson(np.exp(0.5 * x[:, 0])).astype(float)


# name: (estimator, data, arguments)
TASKS = {
    "binary": (CLASSIFIER, binary, {}),
    "multiclass": (CLASSIFIER, multiclass, {}),
    "multilabel": (CLASSIFIER, multilabel, {}),
    "numbers": (REGRESSOR, numbers, {}),
    "several numbers": (REGRESSOR, several_numbers, {}),
    "poisson": (REGRESSOR, counts, {"loss": "poisson"}),
}


def both(name):
    """(scikit-learn's class, xpnet's)."""
    from sklearn import neural_network

    import xpnet.sklearn

    return getattr(neural_network, name), getattr(xpnet.sklearn, name)


def quietly(function, *arguments, **named):
    """What it returns, without the warning that training could have gone on."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*arguments, **named)


def standard(name):
    """A data set of scikit-learn's: (name of the estimator, x, y)."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return REGRESSOR if name == "diabetes" else CLASSIFIER, scale(x), y
