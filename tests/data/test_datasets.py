"""The data sets that ship with xpnet or are drawn from a seed."""

import numpy as np
import pytest

from xpnet.data import DATASETS, datasets

DRAWN = ["spirals", "moons", "circles"]


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_gives_float32_features_and_one_target_a_sample(name):
    x, y = datasets.load(name)
    assert x.dtype == np.float32
    assert x.ndim == 2
    assert len(x) == len(y)
    assert np.isfinite(x).all()
    assert y.dtype == (np.float32 if name == "line" else np.int64)


def test_the_sets_that_ship_are_what_they_are_said_to_be():
    x, y = datasets.digits()
    assert x.shape == (1797, 64)
    assert (x.min(), x.max()) == (0, 16)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    x, y = datasets.xor()
    assert y.tolist() == [int(a) ^ int(b) for a, b in x]
    x, y = datasets.line()
    assert x.shape == y.shape == (7, 1)
    assert (x[0, 0], y[-1, 0]) == (np.float32(2.4), np.float32(2.7))


@pytest.mark.parametrize("name", DRAWN)
def test_points_are_drawn_from_the_seed_in_random_order(name):
    draw = DATASETS[name]
    for samples in (2, 7, 200):
        x, y = draw(samples=samples)
        assert x.shape == (samples, 2)
        assert np.ptp(np.bincount(y, minlength=2)) <= 1
    assert 40 < np.count_nonzero(np.diff(y)) < 160
    first, again, other = (draw(50, 0.1, seed=seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])
    exact = draw(4000, 0.0, seed=3)[0]
    error = draw(4000, 0.2, seed=3)[0] - exact
    assert error.std() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_each_spiral_is_the_first_one_turned(classes):
    x, y = datasets.spirals(classes * 40, classes=classes)
    points = x[:, 0] + 1j * x[:, 1]
    for k in range(classes):
        arm = points[y == k]
        radius = np.abs(arm)
        assert (radius.min(), radius.max()) == pytest.approx((0.1, 1.0), abs=1e-6)
        straight = arm * np.exp(-2j * np.pi * (k / classes + 1.5 * radius))
        np.testing.assert_allclose(straight, radius, atol=1e-5)


def test_moons_and_circles_without_noise_lie_on_circles():
    x, y = datasets.moons(60, noise=0)
    centres = np.array([[0, 0], [1, 0.5]])[y]
    np.testing.assert_allclose(np.hypot(*(x - centres).T), 1, atol=1e-6)
    assert (x[y == 0, 1] >= -1e-6).all()
    assert (x[y == 1, 1] <= 0.5 + 1e-6).all()
    x, y = datasets.circles(60, noise=0, factor=0.3)
    radius = np.where(y == 0, 1, 0.3)
    np.testing.assert_allclose(np.hypot(*x.T), radius, atol=1e-6)
    assert len(np.unique(x, axis=0)) == 60


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("spirals", {"samples": 2, "classes": 3}, "samples: .*at least 3, got 2; hint"),
        ("spirals", {"classes": 1}, "classes: .*at least 2, got 1; hint"),
        ("spirals", {"samples": 10.0}, "samples: expected an integer.*got 10.0; hint"),
        ("spirals", {"noise": -1}, "noise: .*at least 0, got -1; hint"),
        ("moons", {"samples": 1}, "samples: .*at least 2, got 1; hint"),
        ("moons", {"noise": float("nan")}, "noise: .*got nan; hint"),
        ("moons", {"seed": -1}, "seed: .*at least 0, got -1; hint"),
        ("circles", {"samples": True}, "samples: expected an integer.*got True; hint"),
        ("circles", {"factor": 1.0}, "factor: .*between 0 and 1, got 1.0; hint"),
    ],
)
def test_a_bad_argument_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name](**arguments)


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(ValueError, match="'digit'; did you mean 'digits'"):
        datasets.load("digit")
