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
    assert model.build(784) is model
    assert (model.sample_shape, model.shapes) == ((784,), [(15,), (10,)])
    assert model.n_outputs == 10
    assert model.build((784,)).parameter_count == 11_935


def test_the_first_batch_builds():
    model = digits_model()
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
def test_the_count_is_that_of_the_trained_arrays(kind):
    model = allocated(network(kind))
    views = model.buffers.views
    trained = [view for (i, name), view in views.items() if (i, f"d{name}") in views]
    assert model.parameter_count == sum(view.size for view in trained)
    assert f"{model.parameter_count:,}" in model.summary().splitlines()[-1]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_rebuilt_from_its_config(kind):
    layer = layer_of(kind, "relu", False)
    again = LAYERS[kind](**layer.config())
    assert repr(again) == repr(layer)
    assert kind in repr(layer)


@pytest.mark.parametrize("kind", LAYERS)
def test_no_input_is_written_to(kind):
    model = allocated(network(kind, "relu"))
    x, delta = inputs(model, 1), rng(2).standard_normal((6, 3))
    kept = x.copy(), delta.copy()
    for training in (True, False):
        model.forward(x, training)
    model.forward(x, True)
    model.backward(delta)
    assert np.array_equal(x, kept[0])
    assert np.array_equal(delta, kept[1])


def test_parameters_and_gradients_are_views_of_flat_buffers():
    model = allocated(
        xn.Sequential([xn.Dense(3), xn.BatchNorm(), xn.Dense(2)]).build(4)
    )
    first, norm, last = model.layers
    arrays = [first.W, first.b, norm.gain, norm.shift, last.W, last.b]
    assert all(np.shares_memory(a, model.buffers.params) for a in arrays)
    assert np.shares_memory(norm.running_mean, model.buffers.state)
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    model.backward(np.ones_like(model.forward(np.ones((3, 4)), True)))
    assert np.shares_memory(last.db, model.buffers.grads)
    assert model.buffers.grads.any()


def test_weights_and_no_others_lie_in_the_penalised_prefix():
    model = allocated(
        xn.Sequential([xn.Dense(3), xn.BatchNorm(), xn.Dense(2)]).build(4)
    )
    model.buffers.params[...] = 1.0
    model.buffers.params[: model.layout.penalized] = 2.0
    first, norm, last = model.layers
    assert all((W == 2.0).all() for W in (first.W, last.W))
    assert all((p == 1.0).all() for p in (first.b, norm.gain, norm.shift, last.b))


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


@pytest.mark.parametrize("width", [0, -1, (), (3, 0), 2.5, "784"])
def test_a_width_below_one_is_refused(width):
    with pytest.raises((ValueError, TypeError), match="build: expected widths"):
        digits_model().build(width)


def test_a_width_may_be_a_numpy_number():
    assert digits_model().build(np.int64(784)).parameter_count == 11_935


def test_another_width_is_refused():
    model = digits_model().build(784)
    message = r"built for samples of shape \(784,\), got \(64,\)"
    with pytest.raises(ValueError, match=message):
        model.build(64)
    assert model.parameter_count == 11_935


def test_a_layer_that_does_not_fit_is_named():
    model = xn.Sequential([xn.Activation("relu"), xn.Dense(3)])
    with pytest.raises(ValueError, match=r"layer 1: Dense: .*\(2, 3\).*Flatten\(\)"):
        model.build((2, 3))
    assert model.sample_shape is None
    assert model.build(6).parameter_count == 21


DENSE = xn.Dense(3)
BAD = {
    "a layer's class": ([xn.Dense], TypeError, "a Layer at position 0"),
    "a number": ([DENSE, 3], TypeError, "a Layer at position 1, got 3"),
    "one layer": (DENSE, TypeError, "a list of layers, got Dense"),
    "None": (None, TypeError, "a list of layers, got None"),
    "no layer": ([], ValueError, "at least one layer"),
    "the same layer twice": ([DENSE, xn.Flatten(), DENSE], ValueError, "twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_something_else_than_layers_is_refused(case):
    layers, error, message = BAD[case]
    with pytest.raises(error, match=f"Sequential: .*{message}"):
        xn.Sequential(layers)


def test_an_unbuilt_model_has_no_arrays_to_allocate():
    with pytest.raises(ValueError, match=r"not built; call build\(n_features\)"):
        digits_model().allocate(CPU, DOUBLE, (0,))
