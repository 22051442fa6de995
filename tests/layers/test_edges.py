"""Activations and losses where floating point ends: huge, tiny and subnormal z."""

import warnings

import numpy as np
import pytest

import xpnet as xn
from xpnet.layers import ACTIVATIONS, LOSSES
from xpnet.layers.activations import sigmoid

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
    sizes = [info.smallest_subnormal, info.tiny, 1e-30, 1e-3, 1.0, 20.0, 88.0, 89.0]
    sizes += [103.0, 104.0, 709.0, 710.0, 745.0, 746.0, 1e4, 1e38]
    sizes += [float(info.max) / 2, float(info.max)]
    return np.sort(np.array([s * size for s in (1, -1) for size in sizes], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_is_an_exponential_far_left_down_to_the_smallest_number(dtype):
    last = np.log(float(np.finfo(dtype).smallest_subnormal))
    z = np.linspace(last, -40.0, 1000).astype(dtype)
    wanted, found = np.exp(z.astype(np.longdouble)), sigmoid(z)
    assert found.dtype == dtype
    smallest = np.finfo(dtype).smallest_subnormal
    within = 2 * np.finfo(dtype).eps * wanted + smallest
    assert (abs(found - wanted) <= within).all()
    assert found[0] == smallest
    assert sigmoid(np.array([2 * last], dtype)) == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_is_the_same_to_the_bit_where_its_formula_is_fine(dtype):
    z = np.linspace(-88.0, 300.0, 10000).astype(dtype)
    with np.errstate(over="ignore"):
        assert np.array_equal(sigmoid(z), 1.0 / (1.0 + np.exp(-z)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_activation_comes_to_its_ends(name, dtype):
    z = edges(dtype)
    a = ACTIVATIONS[name].function(z)
    slope = ACTIVATIONS[name].delta(np.ones_like(z), z, a)
    for at, (value, steep) in zip((0, -1), ENDS[name], strict=True):
        if value is not None:
            assert a[at] == (z[at] if value == "z" else value)
        assert slope[at] == z.dtype.type(steep)
    assert np.isfinite(slope).all()
    if name not in ("gelu", "silu"):  # which have a dip
        assert (np.diff(a) >= 0.0).all()


def test_silu_of_a_large_negative_number_is_nothing():
    for size in (1e38, 3.4e38, 1e4, 200.0):
        a = ACTIVATIONS["silu"].function(np.float32([-size]))
        assert a == 0.0
    assert ACTIVATIONS["silu"].function(np.array([-700.0])) == pytest.approx(
        -700.0 * np.exp(-700.0), rel=1e-12
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_way_to_run_gives_the_same_bits_at_the_edges(name, dtype):
    x = np.stack([edges(dtype), edges(dtype)[::-1]], axis=1)
    x = x[:, :1] if name != "softmax" else x / 4
    found = []
    for how in ({"eager": True}, {"jit": False}, {"jit": True}):
        model = xn.Sequential([xn.Dense(x.shape[1]), xn.layers.Activation(name)])
        trainer = xn.Trainer(
            model, "mean_squared_error", device="cpu", dtype=dtype, **how
        )
        trainer.build(x.shape[1])
        trainer.parameters()["0.W"][...] = np.eye(x.shape[1])
        found.append(trainer.predict(x))
    for other in found[1:]:
        assert np.array_equal(other, found[0])
        assert np.array_equal(np.signbit(other), np.signbit(found[0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_slopes_are_numbers_at_the_edges(name, dtype):
    """Losses that no number of the dtype holds are infinite; none is NaN."""
    loss, most = LOSSES[name](), float(np.finfo(dtype).max)
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
