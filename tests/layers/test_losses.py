"""Losses: formulas, stability, weights, labels."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import rng
from xpnet.layers import LOSSES, get_loss

S, D = 0.1, 0.7  # label smoothing and Huber's width where a test sets them


def _log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def _huber(d):
    def rows(z, t):
        e = np.abs(z - t)
        return np.where(e <= d, e * e / 2, d * (e - d / 2)).mean(-1)

    def gradient(z, t):
        e = z - t
        return np.where(abs(e) <= d, e, d * np.sign(e)) / z.shape[-1]

    return rows, gradient


def _softmax(s):
    def rows(z, t):
        return -(((1 - s) * t + s / t.shape[-1]) * _log_softmax(z)).sum(-1)

    def gradient(z, t):
        return np.exp(_log_softmax(z)) - (1 - s) * t - s / t.shape[-1]

    return rows, gradient


def _probability(z):
    return 1.0 / (1.0 + np.exp(-z))


# (loss, lᵢ, ∂lᵢ/∂zᵢ), written down again; the first ones in the order of the table.
FORMULAS = {
    "mean_squared_error": (
        xn.MeanSquaredError(),
        lambda z, t: ((z - t) ** 2).mean(-1),
        lambda z, t: 2.0 * (z - t) / z.shape[-1],
    ),
    "mean_absolute_error": (
        xn.MeanAbsoluteError(),
        lambda z, t: np.abs(z - t).mean(-1),
        lambda z, t: np.where(z > t, 1.0, -1.0) / z.shape[-1],
    ),
    "huber": (xn.Huber(), *_huber(1.0)),
    "binary_cross_entropy": (
        xn.BinaryCrossEntropy(),
        lambda z, t: (
            -(t * np.log(_probability(z)) + (1 - t) * np.log(1 - _probability(z)))
        ).mean(-1),
        lambda z, t: (_probability(z) - t) / z.shape[-1],
    ),
    "softmax_cross_entropy": (xn.SoftmaxCrossEntropy(), *_softmax(0.0)),
    "huber of another width": (xn.Huber(D), *_huber(D)),
    "smoothed": (xn.SoftmaxCrossEntropy(label_smoothing=S), *_softmax(S)),
}


def draw(loss, shape=(7, 4)):
    """Outputs and targets; soft ones for the cross-entropies."""
    z, t = rng(1).standard_normal((2, *shape)) * 2.0
    if loss.targets == "binary":
        t = _probability(t)
    elif loss.targets == "classes":
        t = np.exp(_log_softmax(t))
    return z, t


def test_every_loss_of_the_table_has_its_formula():
    assert set(LOSSES) <= set(FORMULAS)
    assert all(type(FORMULAS[name][0]) is kind for name, kind in LOSSES.items())


@pytest.mark.parametrize("shape", [(7, 4), (2, 3, 5, 4), (1, 1)], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_and_its_gradient_are_their_formulas(name, shape):
    loss, rows, gradient = FORMULAS[name]
    z, t = draw(loss, shape)
    got = loss.rows(z, t)
    assert got.shape == (*shape[:-1], 1)
    np.testing.assert_allclose(got[..., 0], rows(z, t), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        loss.gradient(z, t), gradient(z, t), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, 88.0, 0.0])
@pytest.mark.parametrize("name", FORMULAS)
def test_large_logits_give_finite_losses_of_the_same_dtype(name, size, dtype):
    loss = FORMULAS[name][0]
    z = np.array([[size, -size, 0.0], [-size, -size, size]], dtype)
    for t in (np.eye(3, dtype=dtype)[[0, 1]], np.eye(3, dtype=dtype)[[1, 0]]):
        for values in (loss.rows(z, t), loss.gradient(z, t), loss.link(z)):
            assert values.dtype == dtype
            assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_confident_mistake_costs_its_logit(dtype):
    z = np.array([[1e4, -1e4]], dtype)
    t = np.array([[0.0, 1.0]], dtype)
    assert float(xn.SoftmaxCrossEntropy().rows(z, t)[0, 0]) == 2e4
    assert float(xn.BinaryCrossEntropy().rows(z, t)[0, 0]) == 1e4
    np.testing.assert_allclose(xn.SoftmaxCrossEntropy().gradient(z, t), [[1.0, -1.0]])
    np.testing.assert_allclose(xn.BinaryCrossEntropy().gradient(z, t), [[0.5, -0.5]])


def test_a_right_answer_costs_nothing_at_any_size():
    z, t = np.array([[1e4, -1e4]]), np.array([[1.0, 0.0]])
    for loss in (xn.SoftmaxCrossEntropy(), xn.BinaryCrossEntropy()):
        assert float(loss.rows(z, t)[0, 0]) == 0.0
        assert abs(loss.gradient(z, t)).max() == 0.0


def test_small_probabilities_keep_their_digits():
    """ln(1 + e⁻⁴⁰) is 4e-18, not 0."""
    z, t = np.array([[40.0]]), np.array([[1.0]])
    got = xn.BinaryCrossEntropy().rows(z, t)[0, 0]
    assert got == pytest.approx(np.exp(-40.0), rel=1e-12, abs=0.0)


def test_the_absolute_error_has_no_slope_where_it_is_zero():
    z = np.ones((2, 3))
    assert not xn.MeanAbsoluteError().gradient(z, z).any()


@pytest.mark.parametrize("name", LOSSES)
def test_link_is_the_prediction(name):
    loss = LOSSES[name]()
    z, _ = draw(loss)
    expected = {
        "values": z,
        "binary": _probability(z),
        "classes": np.exp(_log_softmax(z)),
    }[loss.targets]
    np.testing.assert_allclose(loss.link(z), expected, rtol=1e-12)


def test_a_misspelt_loss_gives_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'huber'"):
        get_loss("hubert")
    with pytest.raises(TypeError, match="loss: expected a name, got int"):
        get_loss(3)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_width_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match=f"Huber: expected delta > 0.*got {value}"):
        xn.Huber(value)


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_a_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(ValueError, match=f"0 <= label_smoothing < 1, got {value}"):
        xn.SoftmaxCrossEntropy(value)
