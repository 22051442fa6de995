"""Losses where floating point ends, their predictions, and what they start from.

docs/backprop.md has their formulas and gradients, which tests/package/test_book.py
compares; references.npz those of PyTorch.
"""

import warnings

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.layers.test_activations import DTYPES, edges
from xpnet.layers import LOSSES

SMOOTHED, NARROW = xn.SoftmaxCrossEntropy(0.1), xn.Huber(0.7)
KINDS = {name: kind() for name, kind in LOSSES.items()}
KINDS |= {"smoothed": SMOOTHED, "narrow": NARROW}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KINDS)
def test_losses_and_their_slopes_are_numbers_at_the_edges(name, dtype):
    """Losses that no number of the dtype holds are infinite; none is NaN."""
    loss, most = KINDS[name], float(np.finfo(dtype).max)
    z = np.array([[a, b] for a in edges(dtype) for b in (most, 0.0, -most)], dtype)
    for t in ([1.0, 0.0], [0.0, 1.0]):
        target = np.broadcast_to(np.array(t, dtype), z.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rows, slope = loss.rows(z, target), loss.gradient(z, target)
        assert not np.isnan(rows).any()
        assert (rows >= 0.0).all()
        assert not np.isnan(slope).any()
        if loss.targets != "values":
            assert (abs(slope) <= 1.0).all()
        if name == "softmax_cross_entropy":
            with np.errstate(over="ignore"):
                sure = (z[:, 0] - z[:, 1]) * (t[0] - t[1]) > 1e4
            assert (rows[sure] == 0.0).all()
    z = np.array([[1e4, -1e4, 0.0], [-88.0, 88.0, 0.0], [0.0, 0.0, 0.0]], dtype)
    for t in (np.eye(3, dtype=dtype), np.eye(3, dtype=dtype)[[1, 0, 2]]):
        for values in (loss.rows(z, t), loss.gradient(z, t), loss.link(z)):
            assert values.dtype == dtype
            assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_confident_mistake_costs_its_logit_and_a_right_answer_nothing(dtype):
    z, t = np.array([[1e4, -1e4]], dtype), np.array([[0.0, 1.0]], dtype)
    for loss, cost, slope in (
        (xn.SoftmaxCrossEntropy(), 2e4, [[1.0, -1.0]]),
        (xn.BinaryCrossEntropy(), 1e4, [[0.5, -0.5]]),
    ):
        assert float(loss.rows(z, t)[0, 0]) == cost
        np.testing.assert_allclose(loss.gradient(z, t), slope)
        assert float(loss.rows(z, 1.0 - t)[0, 0]) == 0.0
        assert abs(loss.gradient(z, 1.0 - t)).max() == 0.0


def test_small_probabilities_keep_their_digits():
    """ln(1 + e⁻⁴⁰) is 4e-18, not 0."""
    got = xn.BinaryCrossEntropy().rows(np.array([[40.0]]), np.array([[1.0]]))[0, 0]
    assert got == pytest.approx(np.exp(-40.0), rel=1e-12, abs=0.0)


def test_the_width_of_huber_is_where_squares_become_lines():
    z, t = np.array([[0.5, -3.0]]), np.zeros((1, 2))
    rows = (0.5**2 / 2 + 0.7 * (3.0 - 0.7 / 2)) / 2
    assert NARROW.rows(z, t)[0, 0] == pytest.approx(rows, rel=1e-14)
    np.testing.assert_allclose(NARROW.gradient(z, t), [[0.25, -0.35]], rtol=1e-14)


def test_the_absolute_error_has_no_slope_where_it_is_zero():
    z = np.ones((2, 3))
    assert not xn.MeanAbsoluteError().gradient(z, z).any()


@pytest.mark.parametrize("name", LOSSES)
def test_link_is_the_prediction(name):
    z, _ = data("values")
    e = np.exp(z)
    shares = {"values": z, "binary": e / (1 + e), "classes": e / e.sum(-1)[:, None]}
    loss = KINDS[name]
    np.testing.assert_allclose(loss.link(z), shares[loss.targets], rtol=1e-12)
