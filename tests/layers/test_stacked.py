"""Stacked networks: each member of a leading axis is the network alone."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import allocated, inputs, network, rng, targets
from xpnet.layers import ACTIVATIONS, LAYERS, LOSSES

LEAD = (3,)


def passed(model, x, delta):
    """(outputs, δ of x, gradients, running statistics) of one pass."""
    z = model.forward(x, training=True)
    below = model.backward(delta)
    return z, below, model.buffers.grads, model.buffers.state


def assert_members_equal_singles(model, seed=5):
    x = inputs(model, seed, LEAD)
    stacked = allocated(model, seed, LEAD)
    delta = rng(seed, 2).standard_normal((*x.shape[:2], model.n_outputs))
    together = passed(stacked, x, delta)
    for i in range(LEAD[0]):
        alone = passed(allocated(model, seed + i), x[i], delta[i])
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-13)
    predicted = stacked.forward(x)
    for i in range(LEAD[0]):
        single = allocated(model, seed + i)
        single.buffers.state[...] = stacked.buffers.state[i]
        np.testing.assert_allclose(predicted[i], single.forward(x[i]), rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softmax"])
@pytest.mark.parametrize("kind", LAYERS)
def test_each_member_is_the_network_alone(kind, activation):
    assert_members_equal_singles(network(kind, activation))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_member_is_the_network_alone_for_every_activation(activation):
    assert_members_equal_singles(network("Dense", activation, bias=False))


@pytest.mark.parametrize("kind", LAYERS)
def test_members_are_different_networks(kind):
    model = network(kind)
    stacked = allocated(model, 5, LEAD)
    x = np.broadcast_to(inputs(model, 5), (3, *inputs(model, 5).shape))
    z = stacked.forward(x, training=True)
    assert abs(z[0] - z[1]).max() > 1e-3
    assert abs(z[1] - z[2]).max() > 1e-3


def test_two_leading_axes_are_free_too():
    model = network("BatchNorm")
    x = inputs(model, 1, (2, 3))
    z = allocated(model, 1, (2, 3)).forward(x, training=True)
    for i, member in enumerate(np.ndindex(2, 3)):
        alone = allocated(model, 1 + i).forward(x[member], training=True)
        np.testing.assert_allclose(z[member], alone, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_leave_the_leading_axes_alone(name):
    loss = LOSSES[name]()
    z = rng(1).standard_normal((*LEAD, 5, 4))
    t = targets(loss, z, 2)
    rows, gradient = loss.rows(z, t), loss.gradient(z, t)
    for i in range(LEAD[0]):
        assert np.array_equal(rows[i], loss.rows(z[i], t[i]))
        assert np.array_equal(gradient[i], loss.gradient(z[i], t[i]))


def test_the_buffers_hold_one_row_a_member():
    model = allocated(network("BatchNorm"), 0, LEAD)
    layout = model.layout
    assert model.buffers.params.shape == (3, layout.size)
    assert model.buffers.state.shape == (3, layout.state_size)
    assert model.layers[0].W.shape == (3, 4, 5)
    model.buffers.params[1] = 7.0
    assert (model.layers[0].W[1] == 7.0).all()
    assert not (model.layers[0].W[[0, 2]] == 7.0).any()


def test_a_model_keeps_its_number_of_networks():
    model = allocated(network("Dense"), 0, LEAD)
    with pytest.raises(ValueError, match=r"holds \(3,\) network.*make a new"):
        xn.Trainer(model, "mean_squared_error", device="cpu", dtype="float64")
