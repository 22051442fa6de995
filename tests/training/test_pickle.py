"""Pickle and copies: what comes back is equal, goes on alike, and is independent."""

import copy
import pickle

import numpy as np
import pytest

import xpnet as xn
from tests.cases import RULES, TARGETS, data
from tests.training.examples import trainer
from tests.training.test_checkpoint import alike, goes_on_alike
from tests.ways import curves

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def soft(z):
    """An activation of one's own, found by its name."""
    return z / (1 + abs(z))


class Scale(xn.Layer):
    """A layer of one's own with a fixed array beside its parameter."""

    def __init__(self, by):
        self.by = np.asarray(by, np.float32)

    def build(self, shape):
        self.declare("s", (1, shape[-1]), "ones")
        return shape

    def forward(self, x, training):
        self.x = x
        return x * self.s * self.by

    def backward(self, delta):
        self.ds[...] = (self.x * delta * self.by).sum(axis=-2, keepdims=True)
        return delta * self.s * self.by


class MyLoss(xn.SoftmaxCrossEntropy):
    """A loss of one's own."""


class MyRule(xn.Adam):
    """A rule of one's own."""


def falling(step):
    """A schedule of one's own."""
    return 0.01 / (1 + step)


def mine(p, target, weights):
    """A metric of one's own."""
    return float(p.mean())


def own():
    layers = [xn.Dense(6, activation=soft), Scale([1, 2, 1, 2, 1, 2]), xn.Dense(3)]
    rule = MyRule(falling)
    model = xn.Sequential(layers)
    return xn.Trainer(model, MyLoss(), rule, "cpu", metrics=[mine, "top_3"])


def of(hidden, rule, **options):
    return lambda: trainer(hidden, optimizer=RULES[rule](1), seed=5, **options)


CASES = {
    "layers dense": of("dense", "sgd"),
    "layers noise": of("noise", "noisy"),
    "layers batch norm": of("all", "adamw"),
    "averages": of("batch norm", "adam", average=xn.WeightAverage(0.9)),
    "float64": of("dense", "adamw", dtype="float64"),
    "settings": of("dense", "sgd", eager=True, jit=False, metrics=["top_3"]),
    "parts of one's own": own,
}


def trained(case):
    t = CASES[case]()
    x, y = data(TARGETS["softmax_cross_entropy"])
    t.notes = {"a": [1]}
    t.fit(x, y, 2, 5, validation=(x, y))
    t.learning_rate = 0.02
    return t


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_trainer_comes_back_goes_on_alike_and_is_independent(case, way):
    t = trained(case)
    before = [np.array(a) for a in t.snapshot()]
    back = WAYS[way](t)
    assert type(back) is type(t)
    assert back.history.rows == t.history.rows
    assert back.history.rows is not t.history.rows
    assert (back.eager, back.jit, back.backend) == (t.eager, t.jit, t.backend)
    assert back.metrics == t.metrics
    assert list(back.metrics) == list(t.metrics)
    x, y = data(TARGETS["softmax_cross_entropy"], seed=3)
    back.step(x, y)
    assert all(map(np.array_equal, t.snapshot(), before))
    back = WAYS[way](t)
    assert alike(back, t) if case != "parts of one's own" else True
    rows = [curves(one.fit(x, y, 2, 5, validation=(x, y))) for one in (t, back)]
    assert rows[0] == rows[1]
    assert all(map(np.array_equal, t.snapshot(), back.snapshot()))


def test_a_lambda_is_what_python_cannot_pickle():
    model = xn.Sequential([xn.Dense(6, lambda z: z / (1 + abs(z))), xn.Dense(3)])
    own = xn.Trainer(model, "softmax_cross_entropy", device="cpu")
    own.fit(*data(), 1, 5)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(own)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("built", [True, False])
def test_a_trainer_that_was_not_trained_comes_back(way, built):
    t, other = CASES["layers noise"](), CASES["layers noise"]()
    x, _ = data()
    if built:
        t.build(x.shape[1:])
    back = WAYS[way](t)
    assert goes_on_alike(back, other)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_comes_back_with_its_weights_and_of_its_own(way):
    t = trained("layers batch norm")
    model = WAYS[way](t.model)
    assert model is not t.model
    again = xn.Trainer(model, "softmax_cross_entropy", device="cpu")
    x, y = data()
    assert np.array_equal(again.predict(x), t.predict(x))
    before = t.predict(x)
    again.fit(x, y, 1, 5)
    assert np.array_equal(t.predict(x), before)
    assert not np.array_equal(again.predict(x), before)
    fresh = WAYS[way](xn.Sequential([xn.Dense(3)]))
    assert fresh.sample_shape is None


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_what_is_shared_stays_shared(way):
    t = trained("layers dense")
    back, model = WAYS[way]((t, t.model))
    assert back.model is model
    second = xn.Trainer(t.model, "softmax_cross_entropy", device="cpu")
    one, two = WAYS[way]([t, second])
    assert one.model is two.model


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_stacks_and_ensembles_come_back(way):
    x, y = data()
    stack = xn.Stack([trainer("dropout", seed=seed) for seed in range(3)])
    stack.fit(x, y, 2, 5, verbose=False)
    stack.errors = {1: xn.DivergenceError("it did")}
    back = WAYS[way](stack)
    assert np.array_equal(back.predict(x), stack.predict(x))
    assert str(back.errors[1]) == "it did"
    for one in (stack, back):
        one.fit(x, y, 2, 5, verbose=False)
    assert np.array_equal(back.predict(x), stack.predict(x))
    ensemble = xn.Ensemble(stack, xn.Standardizer.fit(x))
    assert np.array_equal(WAYS[way](ensemble).predict(x), ensemble.predict(x))


def test_a_diagnosed_history_comes_back():
    t = CASES["layers dense"]()
    x, y = data()
    t.fit(x, y, 2, 5, diagnose=True, verbose=False)
    back = WAYS["pickle"](t)
    assert str(back.history.diagnosis) == str(t.history.diagnosis)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_layer_alone_takes_its_weights_along(way):
    x, y = data()

    def start(*layers):
        model = xn.Sequential([*layers, xn.Dense(3)])
        return xn.Trainer(model, "softmax_cross_entropy", xn.SGD(0.1), device="cpu")

    t = start(xn.Dense(4, activation="tanh"), Scale([1, 2, 3, 4]))
    t.fit(x, y, 1, 8)
    layers = [way(layer) for layer in t.model.layers[:2]]
    assert repr(layers) == repr(list(t.model.layers[:2]))
    assert layers[0].declared == ()
    other = start(*layers)
    other.build(x.shape[1:])
    for name in ("0.W", "0.b", "1.s"):
        np.testing.assert_array_equal(other.parameters()[name], t.parameters()[name])
    other.fit(x, y, 1, 8)
    assert not np.array_equal(other.parameters()["0.W"], t.parameters()["0.W"])
