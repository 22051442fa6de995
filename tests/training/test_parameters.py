"""Weights that are set are set, wherever one sets them; or it is an error."""

import copy
import pickle

import numpy as np
import pytest

import xpnet as xn
from xpnet.lessons.your_own import Scale

X = np.random.default_rng(1).standard_normal((40, 6))
Y = np.arange(40) % 3
NEW = np.linspace(-1.0, 1.0, 30).reshape(6, 5)


def made(eager=False, average=None, **options):
    layers = [xn.Dense(5, "tanh"), xn.BatchNorm(), xn.Dense(3)]
    model = xn.Sequential(layers)
    options = {"eager": eager, "average": average, "dtype": "float64", **options}
    return xn.Trainer(model, "softmax_cross_entropy", device="cpu", **options)


def trained(epochs=2, **options):
    trainer = made(**options)
    trainer.fit(X, Y, epochs=epochs, verbose=False)
    return trainer


def by_layer(trainer, name, value):
    i, attribute = name.split(".")
    setattr(trainer.model.layers[int(i)], attribute, value)


def by_item(trainer, name, value):
    trainer.parameters()[name] = value


def by_update(trainer, name, value):
    trainer.parameters().update({name: value})


def by_union(trainer, name, value):
    shown = trainer.parameters()
    shown |= {name: value}


def by_method(trainer, name, value):
    trainer.set_parameters({name: value})


def by_model(trainer, name, value):
    trainer.model.set_parameters({name: value})


WAYS = [by_layer, by_item, by_update, by_union, by_method, by_model]
ways = pytest.mark.parametrize("way", WAYS)
kinds = pytest.mark.parametrize(
    "options",
    [{}, {"eager": True}, {"jit": False}, {"average": xn.WeightAverage(0.9)}],
    ids=["recorded", "eager", "calls", "averaged"],
)


def expected(trainer):
    """What a trainer predicts whose model's weights are these from the start."""
    other = made()
    other.build(6)
    names = trainer.model.slots()
    views = trainer.model.buffers.views
    other.set_parameters(
        {k: views[s.layer, s.parameter.name] for k, s in names.items()}
    )
    return other.predict(X)


@ways
@kinds
def test_what_is_set_is_predicted_with(way, options):
    trainer = trained(**options)
    trainer.predict(X)  # recorded before
    if trainer.average is not None:  # all of them, so that no average is left
        trainer.set_parameters(dict(trainer.parameters()))
        state = {"1.running_mean": np.zeros(5), "1.running_variance": np.ones(5)}
        trainer.set_parameters(state)
    before = trainer.predict(X)
    way(trainer, "0.W", NEW)
    way(trainer, "2.b", [1.0, 2.0, 3.0])
    assert np.array_equal(trainer.parameters()["0.W"], NEW)
    assert trainer.parameters()["2.b"].tolist() == [1.0, 2.0, 3.0]
    found = trainer.predict(X)
    assert not np.array_equal(found, before)
    np.testing.assert_allclose(found, expected(trainer), rtol=1e-12)
    trainer.step(X, Y)  # and trained on with
    assert 0.0 < abs(trainer.parameters()["0.W"] - NEW).max() < 0.1


WRONG = {
    "another shape": (NEW.T, "expected shape"),
    "a number": (1.0, "expected shape"),
    "NaN": (np.where(NEW < 0, np.nan, NEW), "finite"),
    "infinite": (NEW * np.inf, "finite"),
    "text": (np.full(NEW.shape, "a"), "expected real numbers"),
    "complex": (NEW + 1j, "expected real numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], "expected numbers"),
    "nothing": (None, "expected"),
}


@ways
def test_what_does_not_fit_is_refused_and_changes_nothing(way):
    trainer = trained()
    before = trainer.predict(X)
    for value, message in WRONG.values():
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            way(trainer, "0.W", value)
        assert "0.W" in str(caught.value)
    assert np.array_equal(trainer.predict(X), before)


@pytest.mark.parametrize("way", WAYS[1:])
def test_an_unknown_name_is_refused_with_the_nearest_one(way):
    trainer = trained()
    with pytest.raises(ValueError, match=r"no '1\.gian'; did you mean '1\.gain'"):
        way(trainer, "1.gian", NEW)


def test_all_or_none():
    trainer = trained()
    before = trainer.predict(X)
    for other in ({"2.b": [np.nan] * 3}, {"2.c": [1.0] * 3}, {"2.b": [1.0]}):
        with pytest.raises(ValueError):
            trainer.set_parameters({"0.W": NEW, **other})
        assert np.array_equal(trainer.predict(X), before)
    with pytest.raises(TypeError, match="name: values"):
        trainer.set_parameters([NEW])
    with pytest.raises(ValueError, match="no weights yet"):
        made().set_parameters({"0.W": NEW})


def test_a_value_too_large_for_the_dtype_is_refused():
    trainer = trained(dtype="float32")
    with pytest.raises(ValueError, match="finite numbers in float32"):
        trainer.set_parameters({"0.W": NEW * 1e300})


def test_the_caller_keeps_the_array():
    trainer, own = trained(), NEW.copy()
    trainer.set_parameters({"0.W": own})
    trainer.step(X, Y)
    assert np.array_equal(own, NEW)


def test_in_place_and_gradients_and_statistics():
    trainer = trained()
    layer = trainer.model.layers[0]
    layer.W *= 2.0
    layer.W += NEW
    trainer.model.layers[1].running_mean = np.ones(5)
    assert np.array_equal(layer.W, trainer.parameters()["0.W"])
    np.testing.assert_allclose(trainer.predict(X), expected(trainer), rtol=1e-12)
    trainer.gradients()["0.W"] = NEW
    assert np.array_equal(layer.dW, NEW)


def test_what_cannot_be_done_with_the_views_is_said():
    trainer = trained()
    shown = trainer.parameters()
    for refused in (shown.clear, shown.popitem, lambda: shown.pop("0.W")):
        with pytest.raises(TypeError, match="none can be removed"):
            refused()
    with pytest.raises(TypeError, match="none can be removed"):
        del shown["0.W"]
    with pytest.raises(TypeError):
        trainer.model.layers[0] = xn.Dense(3)
    with pytest.raises(AttributeError):
        trainer.model.layers = []


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_a_copy_of_the_views_is_a_dict_of_arrays_of_its_own(copied):
    trainer = trained()
    kept = copied(trainer.parameters())
    assert type(kept) is dict
    before = trainer.parameters()["0.W"].copy()
    trainer.fit(X, Y, epochs=1, verbose=False)
    assert np.array_equal(kept["0.W"], before)
    trainer.set_parameters(kept)
    assert np.array_equal(trainer.parameters()["0.W"], before)


@pytest.mark.parametrize("when", ["at first", "once built", "and refused data"])
@pytest.mark.parametrize("eager", [False, True])
def test_what_is_set_before_there_are_arrays_is_where_it_starts(when, eager):
    layer = xn.Dense(5, "tanh")
    layer.W = NEW
    model = xn.Sequential([layer, xn.Dense(3)])
    if when == "once built":
        model.build(6)
    trainer = xn.Trainer(model, "softmax_cross_entropy", device="cpu", eager=eager)
    if when == "and refused data":
        with pytest.raises(ValueError):
            trainer.fit(X, Y[:-1], verbose=False)
    trainer.build(6)
    assert np.array_equal(trainer.parameters()["0.W"], NEW.astype(np.float32))
    assert np.array_equal(model.copy().layers[0].W, NEW)


def test_a_start_of_another_shape_is_refused():
    layer = xn.Dense(5)
    layer.W = NEW
    with pytest.raises(ValueError, match=r"layer 0: W: expected shape \(7, 5\)"):
        xn.Sequential([layer]).build(7)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_taken_into_another_model_takes_its_weights_along(eager, dtype):
    first = trained(eager=eager)
    before, weights = first.predict(X), copy.deepcopy(first.parameters())
    model = xn.Sequential([*first.model.layers[:-1], xn.Dense(2)])
    second = xn.Trainer(
        model, "softmax_cross_entropy", device="cpu", eager=eager, dtype=dtype
    )
    second.build(6)
    for name in ("0.W", "0.b", "1.gain"):
        assert np.array_equal(second.parameters()[name], weights[name].astype(dtype))
    statistics = [t.model.layers[1].running_mean for t in (first, second)]
    assert np.array_equal(statistics[0].astype(dtype), statistics[1])
    second.fit(X, Y % 2, epochs=2, verbose=False)
    assert np.array_equal(first.predict(X), before)
    first.fit(X, Y, epochs=1, verbose=False)
    with pytest.raises(ValueError, match="appears twice"):
        xn.Sequential([first.model.layers[0], first.model.layers[0]])
    with pytest.raises(ValueError, match="layer 0: W: expected shape"):
        xn.Sequential(first.model.layers).build(7)


def test_an_own_layer_that_assigns_its_gradient_trains_all_the_same():
    class Assigning(Scale):
        def backward(self, grad):
            self.ds = (self.x * grad).sum(axis=-2, keepdims=True)
            return grad * self.s

    for eager in (False, True):
        model = xn.Sequential([xn.Dense(3, "tanh"), Assigning(), xn.Dense(1)])
        if not eager:
            errors = xn.check_gradients(model, "mean_squared_error", X, X[:, :1])
            assert max(errors.values()) < 1e-7
        t = xn.Trainer(model, "mean_squared_error", device="cpu", eager=eager)
        t.fit(X, X[:, :1], epochs=2, verbose=False)
        assert abs(t.gradients()["1.s"]).min() > 0.0


def test_members_of_a_stack_are_set_like_others():
    stack = xn.Stack([made(seed=seed) for seed in range(3)])
    stack.fit(X, Y, epochs=1, verbose=False)
    before = stack.predict(X)
    stack[1].set_parameters({"0.W": NEW})
    after = stack.predict(X)
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    np.testing.assert_allclose(after[1], expected(stack[1]), rtol=1e-12)
