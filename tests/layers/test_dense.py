"""Dense and Flatten."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import allocated, rng


def placed(layer, sample, seed=0, lead=()):
    """`layer` with float64 weights, alone in a model."""
    model = xn.Sequential([layer]).build(sample)
    return allocated(model, seed, lead).layers[0]


@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_dense_is_a_matrix_product_and_a_bias(bias, lead):
    layer = placed(xn.Dense(3, bias=bias), 4, 0, lead)
    x, delta = rng(1).standard_normal((*lead, 5, 4)), rng(2).standard_normal((5, 3))
    delta = np.broadcast_to(delta, (*lead, 5, 3))
    b = 0.0
    if bias:
        layer.b[...] = b = rng(3).standard_normal((*lead, 1, 3))
    expected = np.einsum("...bi,...ij->...bj", x, layer.W) + b
    np.testing.assert_allclose(layer.forward(x, True), expected, rtol=1e-13)
    below = layer.backward(delta)
    equal = {"rtol": 1e-13, "atol": 1e-14}
    np.testing.assert_allclose(
        below, np.einsum("...bj,...ij->...bi", delta, layer.W), **equal
    )
    np.testing.assert_allclose(
        layer.dW, np.einsum("...bi,...bj->...ij", x, delta), **equal
    )
    if bias:
        np.testing.assert_allclose(layer.db[..., 0, :], delta.sum(-2), **equal)
    else:
        assert not hasattr(layer, "b")


def test_the_gradient_is_written_not_added():
    layer, x = placed(xn.Dense(3), 4), rng(1).standard_normal((5, 4))
    for _ in range(2):
        layer.forward(x, True)
        layer.backward(np.ones((5, 3)))
    np.testing.assert_allclose(layer.db, [[5.0] * 3])


def test_shapes_and_counts():
    model = xn.Sequential([xn.Dense(15), xn.Dense(10)]).build(784)
    assert model.parameter_count == 11_935
    bare = xn.Sequential([xn.Dense(15, bias=False), xn.Dense(10, bias=False)])
    assert bare.build(784).parameter_count == 784 * 15 + 15 * 10


@pytest.mark.parametrize("units", [0, -3, 2.0, "10", True, None])
def test_units_are_a_whole_number_above_zero(units):
    with pytest.raises(ValueError, match=r"Dense: expected units >= 1.*got"):
        xn.Dense(units)


def test_units_may_be_a_numpy_number():
    """As in Dense(y.max() + 1)."""
    labels = np.array([0, 2, 1])
    assert xn.Sequential([xn.Dense(labels.max() + 1)]).build(2).n_outputs == 3


def test_samples_of_several_axes_are_sent_to_flatten():
    with pytest.raises(ValueError, match=r"layer 0: Dense: .*\(28, 28\).*Flatten\(\)"):
        xn.Sequential([xn.Dense(3)]).build((28, 28))


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("sample", [(4,), (2, 3), (2, 3, 4)], ids=str)
def test_flatten_keeps_the_numbers_in_their_order(sample, lead):
    layer = placed(xn.Flatten(), sample)
    x = np.arange(np.prod((*lead, 5, *sample)), dtype=float).reshape(*lead, 5, *sample)
    flat = layer.forward(x, True)
    assert flat.shape == (*lead, 5, np.prod(sample))
    assert np.array_equal(flat.ravel(), x.ravel())
    assert np.array_equal(layer.backward(flat), x)


def test_a_network_on_images_equals_one_on_their_rows():
    x, y = rng(1).standard_normal((8, 3, 4)), np.arange(8) % 2
    weights = []
    for layers, samples in (
        ([xn.Flatten(), xn.Dense(2, initializer="ones")], x),
        ([xn.Dense(2, initializer="ones")], x.reshape(8, 12)),
    ):
        model = xn.Sequential(layers)
        trainer = xn.Trainer(model, "softmax_cross_entropy", "sgd", device="cpu")
        trainer.step(samples, y)
        weights += [w for name, w in trainer.parameters().items() if "W" in name]
    assert np.array_equal(*weights)
