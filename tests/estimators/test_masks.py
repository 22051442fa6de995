"""Masked arrays are refused: scikit-learn would take the values beneath the mask."""

import numpy as np
import pytest

from tests.cases import data
from xpnet.estimators import GridSearch, MLPClassifier, MLPRegressor

X, Y = data()
KINDS = [MLPClassifier, MLPRegressor]


def masked(values):
    mask = np.zeros(values.shape, bool)
    mask[3] = True
    return np.ma.array(values, mask=mask)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_masked_arrays_are_refused_wherever_they_enter(kind):
    fitted, w = kind(max_iter=1).fit(X, Y), np.ones(len(Y))
    grid = GridSearch(kind(max_iter=1), {"alpha": [0.0]}, cv=2)
    more = {"classes": np.arange(3)} if kind is MLPClassifier else {}
    calls = {
        "X": [
            lambda: kind().fit(masked(X), Y),
            lambda: kind().partial_fit(masked(X), Y, **more),
            lambda: kind().fit(X, Y, validation=(masked(X), Y)),
            lambda: fitted.predict(masked(X)),
            lambda: fitted.score(masked(X), Y),
            lambda: grid.fit(masked(X), Y),
        ],
        "y": [
            lambda: kind().fit(X, masked(Y)),
            lambda: kind().partial_fit(X, masked(Y), **more),
            lambda: fitted.score(X, masked(Y)),
            lambda: grid.fit(X, masked(Y)),
        ],
        "sample_weight": [
            lambda: kind().fit(X, Y, masked(w)),
            lambda: fitted.score(X, Y, masked(w)),
            lambda: grid.fit(X, Y, sample_weight=masked(w)),
        ],
    }
    for name, ways in calls.items():
        for call in ways:
            with pytest.raises(
                ValueError, match=rf"^{name}: expected an array without"
            ):
                call()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_that_hides_nothing_is_none(kind):
    plain, open_ = (
        kind(max_iter=1, random_state=0).fit(x, y).coefs_
        for x, y in ((X, Y), (np.ma.array(X), np.ma.array(Y, mask=False)))
    )
    assert all(np.array_equal(a, b) for a, b in zip(plain, open_, strict=True))
