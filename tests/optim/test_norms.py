"""clip_norm and max_norm, also where squares are beyond floating point."""

import numpy as np
import pytest

import xpnet as xn
from tests.standin import cupy, standin_backend
from xpnet.trace import within

DTYPES = {"float32": 1.0, "float64": 2.0**896}  # what the sizes below are scaled by
SIZES = [2.0**-40, 1e-3, 1.0, 1e9, 2.0**62, 2.0**63, 2.0**64, 1e22, 1e30, 2.0**126]


class Steep(xn.Layer):
    """Passes on a gradient times `size`."""

    def __init__(self, size):
        self.size = size

    def forward(self, x, training):
        return x

    def backward(self, grad):
        return grad * self.size


def squares(x):
    return (x * x).sum(axis=-1, keepdims=True)


def vector(dtype, n=1000):
    return np.random.default_rng(n).normal(size=n).astype(dtype)


@pytest.mark.parametrize("most", [1e-3, 1.0, 1e15, 1e25])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_of_any_size_comes_to_the_norm(dtype, most):
    g = vector(dtype) / 8
    for size in SIZES:
        x = g * np.array(size, dtype)
        with np.errstate(all="ignore"):
            found = within(x, most, squares)
        exact = x.astype(np.longdouble)
        exact *= min(1.0, most / np.sqrt((exact * exact).sum()))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, exact.astype(dtype), 1e-5, 0.0, str(size))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_of_ordinary_gradients_are_those_of_the_equation(dtype):
    for size in (1e-12, 1e-3, 1.0, 1e9, 1e15):
        g = size * vector(dtype)
        plain = g * np.minimum(0.5 / np.maximum(np.sqrt(squares(g)), 1e-30), 1.0)
        assert np.array_equal(within(g, 0.5, squares), plain)


def test_what_is_not_finite_stays_so():
    for bad in (np.nan, np.inf):
        g = np.array([1.0, bad, 2.0], np.float32)
        with np.errstate(all="ignore"):
            assert np.isnan(within(g, 1.0, squares)[1])
    assert not within(np.zeros(3), 1.0, squares).any()


def step(how, size, dtype, **rule):
    """How far a step of rate 1 goes, as one array."""
    layers = [xn.Dense(4, "tanh"), Steep(size), xn.Dense(2)]
    trainer = xn.Trainer(
        xn.Sequential(layers), "mean_squared_error", xn.SGD(1.0, **rule),
        **{"device": "cpu", "dtype": dtype, **how},
    )  # fmt: skip
    trainer.build(3)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(8, 3)), draw.normal(size=(8, 2))

    def weights():
        parts = trainer.parameters().values()
        parts = [p.get() if isinstance(p, cupy.ndarray) else p for p in parts]
        return np.concatenate([np.ravel(p).astype(np.float64) for p in parts])

    before = weights()
    trainer.step(x, y)
    return weights() - before


WAYS = {
    "calls": lambda: {"jit": False},
    "C": lambda: {"jit": True},
    "eager": lambda: {"eager": True},
    "device": lambda: {"device": standin_backend()},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_steep_gradient_makes_a_step_of_the_norm(standin, dtype, way):
    for size in (1e3, 1e25, 1e36):
        moved = step(WAYS[way](), size * DTYPES[dtype], dtype, clip_norm=0.25)
        assert np.linalg.norm(moved) == pytest.approx(0.25, rel=1e-5)


def test_networks_of_a_stack_are_clipped_one_by_one():
    sizes, norms = [1.0, 1e25, 1e25, 1e36], [0.5, 0.5, None, 1e-2]
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(8, 3)), draw.normal(size=(8, 2))

    def made(i):
        layers = [xn.Dense(4, "tanh"), Steep(sizes[i]), xn.Dense(2)]
        rule = xn.SGD(1.0 if norms[i] else 1e-25, clip_norm=norms[i])
        trainer = xn.Trainer(xn.Sequential(layers), "mean_squared_error", rule, "cpu")
        trainer.build(3)
        return trainer

    alone, stack = [made(i) for i in range(4)], [made(i) for i in range(4)]
    for trainer, other in zip(alone, stack, strict=True):
        trainer.fit(x, y, 1, None, verbose=False)
        xn.Stack([other, made(0)]).fit(x, y, 1, None, verbose=False)
        for name, value in trainer.parameters().items():
            np.testing.assert_allclose(other.parameters()[name], value, rtol=1e-5)


@pytest.mark.parametrize("way", ["calls", "C", "eager"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_norm_holds_for_weights_of_any_size(dtype, way):
    model = xn.Sequential([xn.Dense(3, max_norm=2.0), xn.Dense(2)])
    trainer = xn.Trainer(
        model, "mean_squared_error", xn.SGD(lambda t: 0.0), "cpu", dtype, **WAYS[way]()
    )
    trainer.build(4)
    w = trainer.parameters()["0.W"]
    w[:] = np.arange(1.0, 13.0).reshape(4, 3) / 100
    w[:, 1] *= 1e25 * DTYPES[dtype]
    w[:, 2] *= 1e9
    wanted = w[:, 0].copy()
    trainer.step(np.zeros((5, 4)), np.zeros((5, 2)))
    assert np.array_equal(w[:, 0], wanted)
    np.testing.assert_allclose(np.linalg.norm(w[:, 1:], axis=0), 2.0, rtol=1e-5)
