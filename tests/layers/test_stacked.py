"""Stacked networks: each member of a leading axis is the network alone."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.layers.examples import allocated, inputs, network, rng
from xpnet.layers import LAYERS

LEAD = (3,)


def passed(model, x, delta):
    """(outputs, δ of x, gradients, running statistics) of one pass."""
    z = model.forward(x, training=True)
    below = model.backward(delta)
    return z, below, model.buffers.grads, model.buffers.state


@pytest.mark.parametrize(("kind", "activation"), in_turns(LAYERS, ["relu", "softmax"]))
def test_each_member_is_the_network_alone(kind, activation):
    model, seed = network(kind, activation), 5
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
    same = np.broadcast_to(x[0], x.shape)
    z = stacked.forward(same, training=True)
    assert abs(z[0] - z[1]).max() > 1e-3
    assert abs(z[1] - z[2]).max() > 1e-3


def test_two_leading_axes_are_free_too():
    model = network("BatchNorm")
    x = inputs(model, 1, (2, 3))
    z = allocated(model, 1, (2, 3)).forward(x, training=True)
    for i, member in enumerate(np.ndindex(2, 3)):
        alone = allocated(model, 1 + i).forward(x[member], training=True)
        np.testing.assert_allclose(z[member], alone, rtol=1e-12, atol=1e-13)


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
