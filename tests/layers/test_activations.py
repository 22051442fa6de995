"""Activations: functions, derivatives, extremes, functions of one's own."""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import rng
from xpnet.layers import ACTIVATIONS, Activation, get_activation
from xpnet.trace import derivative

# f(z) in float64, written down again.
FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "tanh": lambda z: (np.exp(2.0 * z) - 1.0) / (np.exp(2.0 * z) + 1.0),
    "relu": lambda z: np.where(z > 0.0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0.0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0.0, z, np.exp(z) - 1.0),
    "gelu": lambda z: z / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1.0 + np.exp(-z)),
    "softplus": lambda z: np.log(1.0 + np.exp(z)),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}
ELEMENTWISE = [name for name, row in ACTIVATIONS.items() if row.product is None]
EXTREMES = [0.0, 1e-30, 20.0, 88.0, 89.0, 710.0, 1e4, 1e13, 1e30]


def away_from_zero(shape, size=4.0):
    """z of both signs with 0.01 < |z| < size: no kink is near."""
    draw = rng(1)
    return draw.uniform(0.01, size, shape) * draw.choice([-1.0, 1.0], shape)


def slopes(name, z):
    """f'(z) from the table's row."""
    row = get_activation(name)
    return row.delta(np.ones_like(z), z, row.function(z))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    z = away_from_zero((40, 5))
    got = ACTIVATIONS[name].function(z)
    np.testing.assert_allclose(got, FORMULAS[name](z), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_derivative_is_the_one_that_the_trace_gives(name):
    z = away_from_zero((200, 5))
    derived = derivative(ACTIVATIONS[name].function)(z)
    np.testing.assert_allclose(slopes(name, z), derived, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_delta_is_the_difference_of_the_function_along_a_direction(name):
    z, row, h = away_from_zero((60, 5)), ACTIVATIONS[name], 1e-3
    grad, v = rng(2).standard_normal((2, *z.shape))
    f = row.function
    near, far = f(z + h * v) - f(z - h * v), f(z + 2 * h * v) - f(z - 2 * h * v)
    numeric = grad * (8.0 * near - far) / (12.0 * h)
    product = row.delta(grad, z, f(z)) * v
    np.testing.assert_allclose(product.sum(-1), numeric.sum(-1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_give_finite_numbers_of_the_same_dtype(name, dtype):
    """Warnings are errors here, so an overflow on the way shows as well."""
    z = np.array([[sign * size for size in EXTREMES] for sign in (1, -1)], dtype)
    row = ACTIVATIONS[name]
    a = row.function(z)
    delta = row.delta(np.ones_like(z), z, a)
    assert a.dtype == delta.dtype == dtype
    assert np.isfinite(a).all()
    assert np.isfinite(delta).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_derived_derivative_is_finite_at_extremes(name):
    z = np.array([*EXTREMES, *(-v for v in EXTREMES)], np.float32)
    slope = derivative(ACTIVATIONS[name].function)(z)
    assert slope.dtype == np.float32
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax"])
def test_a_squashing_function_reaches_its_limits(name):
    z = np.array([[1e30, -1e30]], np.float32)
    low = -1.0 if name == "tanh" else 0.0
    assert ACTIVATIONS[name].function(z) == pytest.approx(np.array([[1.0, low]]))


@pytest.mark.parametrize("name", ["relu", "elu", "gelu", "silu", "softplus"])
def test_a_rectifier_is_z_far_right_and_flat_far_left(name):
    z = np.array([1e4, -1e4], np.float32)
    floor = -1.0 if name == "elu" else 0.0
    got = ACTIVATIONS[name].function(z)
    np.testing.assert_allclose(got, [1e4, floor], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slopes(name, z), [1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_leading_axes_are_free(name):
    z = away_from_zero((2, 3, 4, 5))
    row, grad = ACTIVATIONS[name], rng(3).standard_normal((2, 3, 4, 5))
    a = row.function(z)
    delta = row.delta(grad, z, a)
    for i in np.ndindex(2, 3):
        assert np.array_equal(row.function(z[i]), a[i])
        assert np.array_equal(row.delta(grad[i], z[i], a[i]), delta[i])


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


def trained(activation, eager):
    """The parameters after 20 steps of a small network from the same weights."""
    layer = xn.Dense(6, activation, initializer="glorot_uniform")
    model = xn.Sequential([layer, xn.Dense(2)])
    rule = xn.SGD(0.05, momentum=0.9)
    trainer = xn.Trainer(
        model, "mean_squared_error", rule, device="cpu", dtype="float64", eager=eager
    )
    x = away_from_zero((12, 4), 2.0)
    for _ in range(20):
        trainer.step(x, np.sin(x[:, :2]))
    return trainer.parameters()


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_a_function_of_ones_own_trains_like_the_built_in_one(name, eager):
    own, built_in = trained(OWN[name], eager), trained(name.split()[0], eager)
    for key, values in built_in.items():
        np.testing.assert_allclose(own[key], values, rtol=1e-11, atol=1e-12)


def test_both_f_and_its_derivative_may_be_given():
    cube = xn.ActivationFunction(lambda z: z**3, lambda z, a: 3.0 * z * z)
    z = away_from_zero((4, 3))
    layer = Activation(cube)
    np.testing.assert_allclose(layer.forward(z, True), z * z * z, rtol=1e-14)
    np.testing.assert_allclose(layer.backward(np.ones_like(z)), 3 * z**2, rtol=1e-14)


def test_a_recorded_function_must_not_branch_on_values():
    with pytest.raises(TypeError, match="never on values"):
        trained(lambda z: z if z > 0 else 0.0, False)


def test_none_is_the_identity():
    z = away_from_zero((4, 3))
    layer = Activation(None)
    assert np.array_equal(layer.forward(z, True), z)
    assert np.array_equal(layer.backward(2.0 * z), 2.0 * z)


def test_a_misspelt_name_gives_the_nearest():
    with pytest.raises(ValueError, match=r"activation 'rellu'; did you mean 'relu'\?"):
        xn.Dense(3, activation="rellu")


@pytest.mark.parametrize("activation", [3, 1.5, ["relu"]])
def test_something_else_than_a_function_is_refused(activation):
    with pytest.raises(TypeError, match="activation: expected a name"):
        Activation(activation)


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
