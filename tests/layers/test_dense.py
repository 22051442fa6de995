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
    x = rng(1).standard_normal((*lead, 5, 4))
    b = 0.0
    if bias:
        layer.b[...] = b = rng(3).standard_normal((*lead, 1, 3))
    assert hasattr(layer, "b") == bias
    expected = np.einsum("...bi,...ij->...bj", x, layer.W) + b
    np.testing.assert_allclose(layer.forward(x, True), expected, rtol=1e-13)
    for _ in range(2):  # gradients are written, not added
        layer.forward(x, True)
        layer.backward(np.ones((*lead, 5, 3)))
    np.testing.assert_allclose(layer.dW, x.sum(-2)[..., None] * np.ones(3), rtol=1e-13)
    assert not bias or (layer.db == 5.0).all()


def test_units_may_be_a_numpy_number():
    """As in Dense(y.max() + 1)."""
    labels = np.array([0, 2, 1])
    assert xn.Sequential([xn.Dense(labels.max() + 1)]).build(2).n_outputs == 3


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
def test_flatten_keeps_the_numbers_in_their_order(lead):
    for sample in ((4,), (2, 3), (2, 3, 4)):
        layer = placed(xn.Flatten(), sample)
        x = np.arange(np.prod((*lead, 5, *sample)), dtype=float)
        x = x.reshape(*lead, 5, *sample)
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
