"""How weights start: their variance, bounds and seeds."""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import rng
from xpnet.backend import get_backend
from xpnet.layers import ACTIVATIONS, INITIALIZERS, get_initializer

SHAPES = [(400, 50), (50, 400), (150, 150)]
# (variance, bound) of a weight of shape (n, m): the docstrings' formulas.
LAWS = {
    "zeros": lambda n, m: (0.0, 0.0),
    "ones": lambda n, m: (0.0, 1.0),
    "normal": lambda n, m: (0.05**2, math.inf),
    "uniform": lambda n, m: (0.1**2 / 12, 0.05),
    "orthogonal": lambda n, m: (1 / max(n, m), 1.0),
    "glorot_normal": lambda n, m: (2 / (n + m), math.inf),
    "glorot_uniform": lambda n, m: (2 / (n + m), math.sqrt(6 / (n + m))),
    "he_normal": lambda n, m: (2 / n, math.inf),
    "he_uniform": lambda n, m: (2 / n, math.sqrt(6 / n)),
    "lecun_normal": lambda n, m: (1 / n, math.inf),
    "lecun_uniform": lambda n, m: (1 / n, math.sqrt(3 / n)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_variance_and_bound_are_the_formulas(name, shape):
    w = INITIALIZERS[name](rng(1), shape)
    variance, bound = LAWS[name](*shape)
    count, mean = w.size, 1.0 if name == "ones" else 0.0
    assert w.shape == shape
    assert abs(w).max() <= bound
    # Five standard errors; Var(s²) = 2σ⁴/n for a normal, less for a uniform.
    assert abs(w.mean() - mean) <= 5 * math.sqrt(variance / count)
    assert abs(w.var() - variance) <= 5 * variance * math.sqrt(2 / count)


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if n.endswith("uniform")])
def test_a_uniform_one_fills_its_interval(name):
    w = INITIALIZERS[name](rng(2), (200, 100))
    _, bound = LAWS[name](200, 100)
    assert w.max() > 0.999 * bound
    assert w.min() < -0.999 * bound
    assert abs((abs(w) < bound / 2).mean() - 0.5) < 5 * 0.5 / math.sqrt(w.size)


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if n.endswith("normal")])
def test_a_normal_one_has_the_tails_of_a_normal(name):
    w = INITIALIZERS[name](rng(3), (200, 100))
    outside = (abs(w) > 2 * math.sqrt(LAWS[name](200, 100)[0])).mean()
    assert abs(outside - 0.0455) < 5 * math.sqrt(0.0455 / w.size)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (20, 20), (5, 1)], ids=str)
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    w = INITIALIZERS["orthogonal"](rng(4), shape)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-13)


def test_orthogonal_matrices_have_no_preferred_sign():
    """Without R's signs the QR of LAPACK makes the first element negative."""
    draw, initializer = rng(5), INITIALIZERS["orthogonal"]
    first = [initializer(draw, (3, 2))[0, 0] for _ in range(400)]
    assert abs(np.sign(first).mean()) < 5 / math.sqrt(400)


def weights(activation=None, initializer=None, seed=0, units=40, before=()):
    """W of a Dense layer in a model of that seed, and its layer's number."""
    layers = [*before, xn.Dense(units, activation, initializer=initializer)]
    model = xn.Sequential(layers).build(60)
    model.allocate(get_backend("cpu"), np.dtype("float64"), (seed,))
    return model.layers[-1].W


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_the_default_fits_the_activation(activation):
    rectifiers = {"relu", "leaky_relu", "elu", "gelu", "silu", "softplus"}
    expected = "he_normal" if activation in rectifiers else "glorot_uniform"
    assert np.array_equal(weights(activation), weights(activation, expected))
    other = "glorot_uniform" if activation in rectifiers else "he_normal"
    assert not np.array_equal(weights(activation), weights(activation, other))


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros", "ones"}))
def test_the_seed_and_the_place_decide_the_weights(name):
    w = weights(initializer=name)
    assert np.array_equal(w, weights(initializer=name))
    assert not np.array_equal(w, weights(initializer=name, seed=1))
    moved = weights(initializer=name, before=[xn.Activation("identity")])
    assert not np.array_equal(w, moved)


def test_float32_weights_are_the_rounded_float64_ones():
    model = xn.Sequential([xn.Dense(40)]).build(60)
    model.allocate(get_backend("cpu"), np.dtype("float32"), (0,))
    assert np.array_equal(model.layers[0].W, weights().astype(np.float32))


def test_biases_start_at_zero_and_gains_at_one():
    model = xn.Sequential([xn.Dense(3, "relu"), xn.BatchNorm(), xn.LayerNorm()])
    model.build(4).allocate(get_backend("cpu"), np.dtype("float64"), (0,))
    dense, *norms = model.layers
    assert not dense.b.any()
    for norm in norms:
        assert (norm.gain == 1.0).all()
        assert not norm.shift.any()
    assert (norms[0].running_variance == 1.0).all()
    assert not norms[0].running_mean.any()


def test_a_function_of_ones_own_draws_the_weights():
    w = weights(initializer=lambda draw, shape: np.full(shape, 0.25))
    assert (w == 0.25).all()


def test_a_misspelt_name_gives_the_nearest():
    with pytest.raises(ValueError, match=r"initializer 'he'; .*he_normal"):
        get_initializer("he")
    with pytest.raises(ValueError, match="unknown initializer 'xavier'"):
        weights(initializer="xavier")


def test_something_else_than_a_name_or_function_is_refused():
    with pytest.raises(TypeError, match="initializer: expected a name, got int"):
        get_initializer(3)
