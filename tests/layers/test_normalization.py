"""BatchNorm and LayerNorm."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import allocated, rng
from xpnet.backend import get_backend

EPS = 1e-3


def placed(layer, width=4, lead=()):
    """`layer` with float64 parameters and a gain and shift that are not 1 and 0."""
    model = allocated(xn.Sequential([layer]).build(width), lead=lead)
    layer = model.layers[0]
    layer.gain[...] = rng(1).uniform(0.5, 2.0, layer.gain.shape)
    layer.shift[...] = rng(2).standard_normal(layer.shift.shape)
    return layer


def samples(lead=(), batch=7, width=4):
    return 3.0 + 2.0 * rng(3).standard_normal((*lead, batch, width))


@pytest.mark.parametrize("lead", [(), (3,)], ids=str)
@pytest.mark.parametrize(("kind", "axis"), [(xn.BatchNorm, -2), (xn.LayerNorm, -1)])
def test_a_norm_uses_the_statistics_of_its_axis(kind, axis, lead):
    layer, x = placed(kind(eps=EPS), lead=lead), samples(lead)
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    expected = layer.gain * (x - mean) / np.sqrt(variance + EPS) + layer.shift
    np.testing.assert_allclose(layer.forward(x, True), expected, rtol=1e-12)
    if kind is xn.LayerNorm:
        np.testing.assert_allclose(layer.forward(x, False), expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0])
def test_running_statistics_are_averages_of_mean_and_unbiased_variance(momentum):
    layer = placed(xn.BatchNorm(momentum, EPS))
    mean, variance = np.zeros(4), np.ones(4)
    for batch in range(5):
        x = samples() + batch
        layer.forward(x, True)
        mean = (1 - momentum) * mean + momentum * x.mean(0)
        variance = (1 - momentum) * variance + momentum * x.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean[0], mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_variance[0], variance, rtol=1e-12)


def test_inference_uses_the_running_statistics_and_leaves_them():
    layer, x = placed(xn.BatchNorm(eps=EPS)), samples()
    layer.running_mean[...] = mean = rng(4).standard_normal((1, 4))
    layer.running_variance[...] = variance = rng(5).uniform(0.5, 2.0, (1, 4))
    expected = layer.gain * (x - mean) / np.sqrt(variance + EPS) + layer.shift
    for part in (slice(None), slice(0, 1)):  # a single sample will do
        got = layer.forward(x[part], False)
        np.testing.assert_allclose(got, expected[part], rtol=1e-12)
    assert np.array_equal(layer.running_mean, mean)
    assert np.array_equal(layer.running_variance, variance)


def test_a_trainer_moves_the_running_statistics_once_a_step():
    model = xn.Sequential([xn.BatchNorm(0.25), xn.Dense(1)])
    trainer = xn.Trainer(model, "mean_squared_error", "sgd", "cpu", "float64")
    x = samples()
    trainer.step(x, x[:, :1])
    assert trainer.loss > 0.0  # reading it is no second pass
    trainer.evaluate(x, x[:, :1])
    trainer.predict(x)
    norm = model.layers[0]
    np.testing.assert_allclose(norm.running_mean[0], 0.25 * x.mean(0), rtol=1e-12)
    expected = 0.75 + 0.25 * x.var(0, ddof=1)
    np.testing.assert_allclose(norm.running_variance[0], expected, rtol=1e-12)


def test_a_constant_feature_stays_finite():
    layer = placed(xn.BatchNorm())
    x = np.full((5, 4), 3.0)
    np.testing.assert_allclose(layer.forward(x, True), layer.shift + np.zeros((5, 4)))
    assert np.isfinite(layer.backward(np.ones((5, 4)))).all()


@pytest.mark.parametrize("kind", [xn.BatchNorm, xn.LayerNorm])
def test_float32_stays_float32(kind):
    model = xn.Sequential([kind()]).build(4)
    model.allocate(get_backend("cpu"), np.dtype("float32"), (0,))
    x = samples().astype(np.float32)
    for training in (True, False):
        assert model.forward(x, training).dtype == np.float32
    model.forward(x, True)
    assert model.backward(x).dtype == np.float32


def test_a_training_batch_of_one_is_refused():
    model = xn.Sequential([xn.Dense(3), xn.BatchNorm(), xn.Dense(1)])
    trainer = xn.Trainer(model, "mean_squared_error", device="cpu")
    with pytest.raises(ValueError, match=r"layer 1 \(BatchNorm\).*at least 2.*got 1"):
        trainer.step(np.ones((1, 2)), np.ones((1, 1)))
