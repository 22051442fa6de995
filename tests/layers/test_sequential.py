"""Sequential: building, counting, allocating, refusing."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import allocated, inputs, layer_of, network, rng
from xpnet.backend import get_backend
from xpnet.layers import LAYERS

CPU, DOUBLE = get_backend("cpu"), np.dtype("float64")


def digits_model():
    return xn.Sequential([xn.Dense(15, "sigmoid"), xn.Dense(10)])


def test_building_fixes_the_shapes():
    model = digits_model()
    assert model.build(np.int64(784)) is model
    assert (model.sample_shape, model.shapes) == ((784,), [(15,), (10,)])
    assert model.n_outputs == 10
    assert model.build((784,)).parameter_count == 11_935
    model = digits_model()  # the first batch builds, too
    trainer = xn.Trainer(model, "softmax_cross_entropy", device="cpu")
    trainer.step(np.zeros((3, 784)), np.array([0, 9, 1]))
    assert model.parameter_count == 11_935


def test_the_summary_shows_layers_shapes_and_counts():
    assert "not built yet" in digits_model().summary()
    lines = digits_model().build(784).summary().splitlines()
    rows = [line.split() for line in lines]
    assert rows[0] == ["layer", "output", "parameters"]
    assert rows[2] == ["input", "(784,)"]
    assert rows[3][-2:] == ["(15,)", "11,775"]
    assert "Dense(units=15, activation='sigmoid'" in lines[3]
    assert rows[4][-2:] == ["(10,)", "160"]
    assert rows[-1] == ["total", "11,935"]
    assert len({len(line.rstrip()) for line in lines if line[-1].isdigit()}) == 1


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_counts_its_arrays_is_rebuilt_and_writes_to_no_input(kind):
    layer = layer_of(kind, "relu", False)
    assert repr(LAYERS[kind](**layer.config())) == repr(layer)
    assert kind in repr(layer)
    model = allocated(network(kind, "relu"))
    views = model.buffers.views
    trained = [view for (i, name), view in views.items() if (i, f"d{name}") in views]
    assert model.parameter_count == sum(view.size for view in trained)
    assert f"{model.parameter_count:,}" in model.summary().splitlines()[-1]
    x, delta = inputs(model, 1), rng(2).standard_normal((6, 3))
    kept = x.copy(), delta.copy()
    for training in (False, True):
        model.forward(x, training)
    model.backward(delta)
    assert np.array_equal(x, kept[0])
    assert np.array_equal(delta, kept[1])


def test_parameters_and_gradients_are_views_of_flat_buffers():
    """Weights and no others lie in the prefix that penalties touch."""
    layers = [xn.Dense(3), xn.BatchNorm(), xn.Dense(2)]
    model = allocated(xn.Sequential(layers).build(4))
    first, norm, last = model.layers
    arrays = [first.W, last.W, first.b, norm.gain, norm.shift, last.b]
    assert all(np.shares_memory(a, model.buffers.params) for a in arrays)
    assert np.shares_memory(norm.running_mean, model.buffers.state)
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    model.backward(np.ones_like(model.forward(np.ones((3, 4)), True)))
    assert np.shares_memory(last.db, model.buffers.grads)
    assert model.buffers.grads.any()
    model.buffers.params[...] = 1.0
    model.buffers.params[: model.layout.penalized] = 2.0
    assert [float(a.min()) for a in arrays] == [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert [float(a.max()) for a in arrays] == [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]


def test_a_copy_has_the_same_layers_and_none_of_the_arrays():
    model = allocated(network("Dense"))
    copy = model.copy()
    assert repr(copy) == repr(model)
    assert copy.sample_shape == model.sample_shape
    assert copy.buffers is None
    copy.allocate(CPU, DOUBLE, (9,))
    assert not np.shares_memory(copy.layers[0].W, model.layers[0].W)
    assert np.shares_memory(model.layers[0].W, model.buffers.params)


def test_another_dtype_keeps_the_weights():
    model = allocated(network("BatchNorm"))
    model.layers[1].running_mean[...] = 0.5
    weights = model.layers[0].W.copy()
    model.allocate(CPU, np.dtype("float32"), (1,))
    assert model.layers[0].W.dtype == np.float32
    assert np.array_equal(model.layers[0].W, weights.astype(np.float32))
    assert (model.layers[1].running_mean == 0.5).all()


def test_a_layer_that_does_not_fit_is_named():
    model = xn.Sequential([xn.Activation("relu"), xn.Dense(3)])
    with pytest.raises(ValueError, match=r"layer 1: Dense: .*\(2, 3\).*Flatten\(\)"):
        model.build((2, 3))
    assert model.sample_shape is None
    assert model.build(6).parameter_count == 21


def test_an_unbuilt_model_has_no_arrays_to_allocate():
    with pytest.raises(ValueError, match=r"not built; call build\(n_features\)"):
        digits_model().allocate(CPU, DOUBLE, (0,))
