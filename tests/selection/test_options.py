"""Options that some searches have and others have not."""

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import QUICK, data, make


@pytest.mark.parametrize(
    ("search", "more", "option"),
    [
        (xn.cross_validate, {}, {"test": 0.2}),
        (xn.learning_curve, {"sizes": (1.0,)}, {"test": 0.2}),
        (xn.halving_search, {"space": {"l2": [0.0]}}, {"repeats": 2}),
    ],
)
def test_an_option_that_a_search_has_not_is_refused(search, more, option):
    (name,) = option
    with pytest.raises(TypeError, match=f"unknown option '{name}'"):
        search(make, *data(), **more, **option, **QUICK)


def test_groups_may_be_a_list_or_a_column():
    x, y = data()
    groups = np.arange(len(x)) // 5
    found = [
        xn.cross_validate(make, x, y, folds=3, groups=given, **QUICK).best.scores
        for given in (groups, groups.tolist(), groups[:, None])
    ]
    assert found[0] == found[1] == found[2]


def test_groups_stay_together_where_a_part_is_set_aside():
    x, y = data()
    groups = (np.arange(len(x)) // 5).tolist()
    with pytest.raises(ValueError, match="groups: expected one label a sample"):
        xn.grid_search(make, x, y, {}, groups=groups[1:], test=0.25, **QUICK)
    found = xn.grid_search(make, x, y, {}, folds=2, groups=groups, test=0.25, **QUICK)
    assert found.test is not None
