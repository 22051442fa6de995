"""Settings: grids, ranges, names."""

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import make
from xpnet.selection.space import check_names, draws, grid, shown


def test_a_grid_has_every_combination_once():
    rows = grid({"a": [1, 2], "b": ["x", "y", "z"]})
    assert rows[:4] == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "z"}, {"a": 2, "b": "x"},
    ]  # fmt: skip
    assert len(rows) == len({repr(r) for r in rows}) == 6
    assert grid({}) == [{}]


def test_a_log_uniform_range_is_uniform_in_the_logarithm():
    space = {"r": xn.LogUniform(1e-5, 1e-1)}
    values = np.array([row["r"] for row in draws(space, 2000, 0)])
    assert values.min() >= 1e-5
    assert values.max() <= 1e-1
    decades = np.histogram(np.log10(values), bins=4, range=(-5, -1))[0]
    assert abs(decades - 500).max() < 80


def test_a_uniform_range_reaches_its_ends():
    values = [row["n"] for row in draws({"n": xn.Uniform(2, 5, whole=True)}, 50, 1)]
    assert sorted(values) == [2, 3, 4, 5]
    assert all(type(n) is int for n in values)
    values = [row["n"] for row in draws({"n": xn.LogUniform(2, 64, True)}, 9, 1)]
    assert all(type(n) is int and 2 <= n <= 64 for n in values)


def test_draws_are_all_different_and_follow_the_seed():
    space = {"a": [1, 2, 3], "b": xn.Uniform(0.0, 1.0)}
    assert draws(space, 20, 4) == draws(space, 20, 4)
    assert draws(space, 20, 4) != draws(space, 20, 5)
    lists = {"a": [1, 2, 3], "b": ["x", "y"]}
    assert len(draws(lists, 99, 0)) == 6
    assert len({repr(row) for row in draws(lists, 5, 0)}) == 5


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: check_names(make, {"learning_rat": [1]}), ValueError,
     "unknown setting 'learning_rat'; did you mean 'learning_rate'"),
    (lambda: check_names(make, [1]), TypeError, "name: values"),
    (lambda: grid({"l2": 0.1}), TypeError, "l2: expected a list"),
    (lambda: grid({"l2": []}), TypeError, "l2: expected a list"),
    (lambda: grid({"f": "relu"}), TypeError, "one value is a list of one"),
    (lambda: grid({"l2": xn.Uniform(0, 1)}), ValueError, "random_search"),
    (lambda: xn.Uniform(1.0, 1.0), ValueError, "high > low"),
    (lambda: xn.LogUniform(0.0, 1.0), ValueError, "low > 0"),
    (lambda: draws({"a": [1]}, 0, 0), ValueError, "trials"),
])  # fmt: skip
def test_unfit_settings_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_fit_settings_are_known_and_anything_where_a_maker_takes_anything():
    assert check_names(make, {"epochs": [1], "batch_size": [2]})
    assert check_names(lambda **anything: None, {"what": [1]})


def test_values_are_shown_short():
    assert [shown(v) for v in (1e-3, (128, 64), (), "relu", None, np.tanh, 7)] == [
        "0.001", "128-64", "none", "relu", "None", "tanh", "7",
    ]  # fmt: skip
