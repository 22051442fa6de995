"""How weights start: their variance, bounds and seeds."""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import rng
from xpnet.backend import get_backend
from xpnet.layers import ACTIVATIONS, INITIALIZERS

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


@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_variance_and_bound_are_the_formulas(name):
    for shape in ((400, 50), (50, 400), (150, 150)):
        w = INITIALIZERS[name](rng(1), shape)
        variance, bound = LAWS[name](*shape)
        count, mean = w.size, 1.0 if name == "ones" else 0.0
        assert w.shape == shape
        assert abs(w).max() <= bound
        # Five standard errors; Var(s²) = 2σ⁴/n for a normal, less for a uniform.
        assert abs(w.mean() - mean) <= 5 * math.sqrt(variance / count)
        assert abs(w.var() - variance) <= 5 * variance * math.sqrt(2 / count)
        if name.endswith("uniform"):  # it fills its interval
            assert w.max() > 0.998 * bound
            assert w.min() < -0.998 * bound
            assert abs((abs(w) < bound / 2).mean() - 0.5) < 2.5 / math.sqrt(count)
        if name.endswith("normal"):  # its tails
            outside = (abs(w) > 2 * math.sqrt(variance)).mean()
            assert abs(outside - 0.0455) < 5 * math.sqrt(0.0455 / count)


def test_orthogonal_rows_or_columns_are_orthonormal_and_of_any_sign():
    draw, orthogonal = rng(4), INITIALIZERS["orthogonal"]
    for shape in ((30, 20), (20, 30), (20, 20), (5, 1)):
        w = orthogonal(draw, shape)
        gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
        np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-13)
    # Without R's signs the QR of LAPACK makes the first element negative.
    first = [orthogonal(draw, (3, 2))[0, 0] for _ in range(400)]
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
    names = ["glorot_uniform", "he_normal"]
    found = [np.array_equal(weights(activation), weights(activation, n)) for n in names]
    assert found == [activation not in rectifiers, activation in rectifiers]


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros", "ones"}))
def test_the_seed_and_the_place_decide_the_weights(name):
    w = weights(initializer=name)
    assert np.array_equal(w, weights(initializer=name))
    assert not np.array_equal(w, weights(initializer=name, seed=1))
    moved = weights(initializer=name, before=[xn.Activation("identity")])
    assert not np.array_equal(w, moved)


def test_biases_start_at_zero_and_gains_at_one():
    model = xn.Sequential([xn.Dense(40), xn.BatchNorm(), xn.LayerNorm()])
    model.build(60).allocate(get_backend("cpu"), np.dtype("float32"), (0,))
    dense, *norms = model.layers
    assert np.array_equal(dense.W, weights().astype(np.float32))
    assert not dense.b.any()
    for norm in norms:
        assert (norm.gain == 1.0).all()
        assert not norm.shift.any()
    assert (norms[0].running_variance == 1.0).all()
    assert not norms[0].running_mean.any()


def test_a_function_of_ones_own_draws_the_weights():
    w = weights(initializer=lambda draw, shape: np.full(shape, 0.25))
    assert (w == 0.25).all()
