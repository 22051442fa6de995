"""clip_norm and max_norm, also where squares are beyond floating point."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_of_any_size_comes_to_the_norm(dtype):
    g = vector(dtype) / 8
    for size, most in in_turns(2 * SIZES, [1e-3, 1.0, 1e15, 1e25]):
        x = g * np.array(size, dtype)
        with np.errstate(all="ignore"):
            found = within(x, most, squares)
        exact = x.astype(np.longdouble)
        exact *= min(1.0, most / np.sqrt((exact * exact).sum()))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, exact.astype(dtype), 1e-5, 0.0, str(size))
    for size in (1e-12, 1e-3, 1.0, 1e9, 1e15):  # the bits of the equation
        g = size * vector(dtype)
        plain = g * np.minimum(0.5 / np.maximum(np.sqrt(squares(g)), 1e-30), 1.0)
        assert np.array_equal(within(g, 0.5, squares), plain)
    for bad in (np.nan, np.inf):
        g = np.array([1.0, bad, 2.0], dtype)
        with np.errstate(all="ignore"):
            assert np.isnan(within(g, 1.0, squares)[1])
    assert not within(np.zeros(3, dtype), 1.0, squares).any()


X, Y = np.random.default_rng(0).normal(size=(2, 8, 3))


def trainer_of(layers, rule, **how):
    model = xn.Sequential([*layers, xn.Dense(3)])
    trainer = xn.Trainer(model, "mean_squared_error", rule, **{"device": "cpu", **how})
    trainer.build(3)
    return trainer


def steep(size, rule, **how):
    return trainer_of([xn.Dense(4, "tanh"), Steep(size)], rule, **how)


def weights(trainer):
    parts = trainer.parameters().values()
    parts = [p.get() if isinstance(p, cupy.ndarray) else p for p in parts]
    return np.concatenate([np.ravel(p).astype(np.float64) for p in parts])


WAYS = {
    "calls": lambda: {"jit": False},
    "C": lambda: {"jit": True},
    "eager": lambda: {"eager": True},
    "device": lambda: {"device": standin_backend()},
}


EVERY = pytest.mark.parametrize(
    ("way", "dtype"), [*in_turns(WAYS, DTYPES), *in_turns(WAYS, reversed(DTYPES))]
)


@EVERY
def test_a_steep_gradient_makes_a_step_of_the_norm(standin, dtype, way):
    for size in (1e3, 1e25, 1e36):
        rule = xn.SGD(1.0, clip_norm=0.25)
        trainer = steep(size * DTYPES[dtype], rule, dtype=dtype, **WAYS[way]())
        before = weights(trainer)
        trainer.step(X, Y)
        moved = np.linalg.norm(weights(trainer) - before)
        assert moved == pytest.approx(0.25, rel=1e-5)


def test_networks_of_a_stack_are_clipped_one_by_one():
    def made(size, norm):
        return steep(size, xn.SGD(1.0 if norm else 1e-25, clip_norm=norm))

    for network in ((1.0, 0.5), (1e25, 0.5), (1e25, None), (1e36, 1e-2)):
        alone, other = made(*network), made(*network)
        alone.fit(X, Y, 1, None, verbose=False)
        xn.Stack([other, made(1.0, 0.5)]).fit(X, Y, 1, None, verbose=False)
        np.testing.assert_allclose(weights(other), weights(alone), rtol=1e-5)


@EVERY
def test_max_norm_holds_for_weights_of_any_size(standin, dtype, way):
    layers = [xn.Dense(3, max_norm=2.0)]
    trainer = trainer_of(layers, xn.SGD(lambda t: 0.0), dtype=dtype, **WAYS[way]())
    w = np.arange(1.0, 10.0).reshape(3, 3) / 100
    w *= [1.0, 1e25 * DTYPES[dtype], 1e9]
    trainer.parameters()["0.W"][...] = trainer.backend.asarray(w, np.dtype(dtype))
    trainer.step(np.zeros((5, 3)), np.zeros((5, 3)))
    found = trainer.backend.to_numpy(trainer.parameters()["0.W"])
    assert np.array_equal(found[:, 0], w[:, 0].astype(dtype))
    np.testing.assert_allclose(np.linalg.norm(found[:, 1:], axis=0), 2.0, rtol=1e-5)
