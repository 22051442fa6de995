"""Activations where floating point ends, and functions of one's own.

docs/backprop.md has their formulas and derivatives, which tests/package/test_book.py
compares; references.npz those of PyTorch.
"""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.layers.examples import rng
from xpnet.layers import ACTIVATIONS, Activation
from xpnet.layers.activations import sigmoid
from xpnet.trace import derivative

DTYPES = ["float32", "float64"]
ELEMENTWISE = [name for name, row in ACTIVATIONS.items() if row.product is None]
# (f, f') far left and far right; z stands for itself.
ENDS = {
    "identity": (("z", 1.0), ("z", 1.0)),
    "sigmoid": ((0.0, 0.0), (1.0, 0.0)),
    "tanh": ((-1.0, 0.0), (1.0, 0.0)),
    "relu": ((0.0, 0.0), ("z", 1.0)),
    "leaky_relu": ((None, 0.01), ("z", 1.0)),
    "elu": ((-1.0, 0.0), ("z", 1.0)),
    "gelu": ((0.0, 0.0), ("z", 1.0)),
    "silu": ((0.0, 0.0), ("z", 1.0)),
    "softplus": ((0.0, 0.0), ("z", 1.0)),
}


def edges(dtype):
    """z of both signs from the smallest subnormal number to the largest."""
    info = np.finfo(dtype)
    sizes = [0.0, info.smallest_subnormal, info.tiny, 1e-30, 1e-3, 1.0, 20.0, 88.0]
    sizes += [89.0, 103.0, 104.0, 709.0, 710.0, 745.0, 746.0, 1e4, 1e13, 1e30, 1e38]
    sizes += [float(info.max) / 2, float(info.max)]
    return np.sort(np.array([s * size for s in (1, -1) for size in sizes], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_activation_comes_to_its_ends(name, dtype):
    """Warnings are errors here, so an overflow on the way shows as well."""
    z = edges(dtype)
    row = ACTIVATIONS[name]
    a = row.function(z)
    slope = row.delta(np.ones_like(z), z, a)
    derived = derivative(row.function)(np.clip(z, -1e30, 1e30))
    for values in (a, slope, derived):
        assert values.dtype == dtype
        assert np.isfinite(values).all()
    for at, (value, steep) in zip((0, -1), ENDS[name], strict=True):
        if value is not None:
            assert a[at] == (z[at] if value == "z" else value)
        assert slope[at] == z.dtype.type(steep)
    if name not in ("gelu", "silu"):  # which have a dip
        assert (np.diff(a) >= 0.0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_softmax_of_extremes_is_finite(dtype):
    z = np.stack([edges(dtype), edges(dtype)[::-1]]) / 4
    row = ACTIVATIONS["softmax"]
    a = row.function(z)
    for values in (a, row.delta(np.ones_like(z), z, a)):
        assert values.dtype == dtype
        assert np.isfinite(values).all()
    assert a[:, [0, -1]].tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_is_an_exponential_far_left_and_its_formula_elsewhere(dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    last = np.log(float(smallest))
    z = np.linspace(last, -40.0, 1000).astype(dtype)
    wanted, found = np.exp(z.astype(np.longdouble)), sigmoid(z)
    assert found.dtype == dtype
    within = 2 * np.finfo(dtype).eps * wanted + smallest
    assert (abs(found - wanted) <= within).all()
    assert found[0] == smallest
    assert sigmoid(np.array([2 * last], dtype)) == 0.0
    z = np.linspace(-88.0, 300.0, 10000).astype(dtype)
    with np.errstate(over="ignore"):
        assert np.array_equal(sigmoid(z), 1.0 / (1.0 + np.exp(-z)))


def test_silu_of_a_large_negative_number_is_nothing():
    silu = ACTIVATIONS["silu"].function
    for size in (1e38, 3.4e38, 1e4, 200.0):
        assert silu(np.float32([-size])) == 0.0
    wanted = -700.0 * np.exp(-700.0)
    assert silu(np.array([-700.0])) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("name", "dtype"), in_turns(ACTIVATIONS, DTYPES))
def test_every_way_to_run_gives_the_same_bits_at_the_edges(name, dtype):
    x = np.stack([edges(dtype), edges(dtype)[::-1]], axis=1)
    x = x[:, :1] if name != "softmax" else x / 4
    found = []
    for how in ({"eager": True}, {"jit": False}, {"jit": True}):
        model = xn.Sequential([xn.Dense(x.shape[1]), Activation(name)])
        trainer = xn.Trainer(
            model, "mean_squared_error", device="cpu", dtype=dtype, **how
        )
        trainer.build(x.shape[1])
        trainer.parameters()["0.W"][...] = np.eye(x.shape[1])
        found.append(trainer.predict(x))
    for other in found[1:]:
        assert np.array_equal(other, found[0])
        assert np.array_equal(np.signbit(other), np.signbit(found[0]))


# A function of one's own, beside the row that it should equal.
OWN = {
    "silu": lambda z: z / (1.0 + np.exp(-z)),
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "tanh": lambda z: np.sinh(z) / np.cosh(z),
    "softplus": lambda z: np.log(1.0 + np.exp(z)),
    "identity": lambda z: 2.0 * z - z,
    "relu by a maximum": lambda z: np.maximum(z, 0.0),
    "relu by where": lambda z: np.where(z > 0.0, z, 0.0),
    "relu by a mask": lambda z: (z > 0.0) * z,
    "relu by a mask behind": lambda z: z * (z > 0.0),
    "relu by clip": lambda z: np.clip(z, 0.0, 1e6),
    "relu by a root": lambda z: 0.5 * (z + np.sqrt(z * z)),
    "leaky_relu by where": lambda z: np.where(z > 0.0, z, 0.01 * z),
    "elu by where": lambda z: np.where(z > 0.0, z, np.exp(np.minimum(z, 0.0)) - 1.0),
}


def trained(activation):
    """The parameters after 20 steps of a small network from the same weights."""
    layer = xn.Dense(6, activation, initializer="glorot_uniform")
    model = xn.Sequential([layer, xn.Dense(2)])
    rule = xn.SGD(0.05, momentum=0.9)
    trainer = xn.Trainer(model, "mean_squared_error", rule, "cpu", "float64")
    x = rng(1).uniform(0.01, 2.0, (12, 4)) * rng(2).choice([-1.0, 1.0], (12, 4))
    for _ in range(20):
        trainer.step(x, np.sin(x[:, :2]))
    return trainer.parameters()


@pytest.mark.parametrize("name", OWN)
def test_a_function_of_ones_own_trains_like_the_built_in_one(name):
    own, built_in = trained(OWN[name]), trained(name.split()[0])
    for key, values in built_in.items():
        np.testing.assert_allclose(own[key], values, rtol=1e-11, atol=1e-12)


def test_none_is_the_identity_and_both_f_and_its_derivative_may_be_given():
    cube = xn.ActivationFunction(lambda z: z**3, lambda z, a: 3.0 * z * z)
    z = rng(3).standard_normal((4, 3))
    for function, a, slope in ((None, z, 1.0), (cube, z * z * z, 3.0 * z * z)):
        layer = Activation(function)
        np.testing.assert_allclose(layer.forward(z, True), a, rtol=1e-14)
        np.testing.assert_allclose(layer.backward(2.0 * z), 2.0 * z * slope, rtol=1e-14)


def test_a_recorded_function_must_not_branch_on_values():
    with pytest.raises(TypeError, match="never on values"):
        trained(lambda z: z if z > 0 else 0.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z if z else 0.0, "branch on values; use np.where"),
        (lambda z: math.exp(z), "NumPy functions"),
        (lambda z: z.sum(), "sum"),
        (lambda z: np.linalg.norm(z), "norm"),
        (lambda z: np.arctanh(z), "no derivative is known for np.arctanh"),
    ],
)
def test_a_function_without_a_derivative_says_why(function, message):
    slope = derivative(function)
    with pytest.raises((TypeError, AttributeError), match=message):
        slope(np.ones(3))
