"""Dropout and GaussianNoise."""

import math

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import allocated
from xpnet.layers import LAYERS

SHAPE = (200, 100)
NOISY = {"Dropout": lambda: xn.Dropout(0.3), "GaussianNoise": xn.GaussianNoise}
NOTHING = [xn.Dropout(0.0), xn.GaussianNoise(0.0)]


def model_of(layer, seed=0, lead=(), sample=100):
    return allocated(xn.Sequential([layer]).build(sample), seed, lead)


def drawn(layer, steps=1, seed=0, shape=SHAPE, lead=()):
    """What `layer` makes of ones in each of the first `steps` steps."""
    model, results = model_of(layer, seed, lead, shape[1:]), []
    for _ in range(steps):
        results.append(model.forward(np.ones((*lead, *shape)), training=True))
        model.step += 1
    return results


def test_every_noisy_layer_is_here():
    assert set(NOISY) == {name for name, kind in LAYERS.items() if kind.uses_noise}


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(rate):
    a = drawn(xn.Dropout(rate))[0]
    np.testing.assert_allclose(np.unique(a), [0.0, 1.0 / (1.0 - rate)], rtol=1e-15)
    error = 5 * math.sqrt(rate * (1 - rate) / a.size)
    assert abs((a == 0.0).mean() - rate) < error
    assert abs(a.mean() - 1.0) < error / (1 - rate)
    for axis in (0, 1):  # no row and no column is special
        deviations = (a == 0.0).mean(axis) - rate
        assert abs(deviations).max() < 5.5 * math.sqrt(rate / a.shape[axis])


def test_the_gradient_goes_where_the_input_went():
    delta = np.arange(20000.0).reshape(SHAPE)
    for layer in (xn.Dropout(0.4), xn.GaussianNoise(), *NOTHING):
        model = model_of(layer)
        a = model.forward(np.ones(SHAPE), training=True)
        kept = a if isinstance(layer, xn.Dropout) else 1.0
        assert np.array_equal(model.backward(delta), delta * kept)
        assert np.array_equal(a, np.ones(SHAPE)) == (layer in NOTHING)


def test_gaussian_noise_has_its_standard_deviation():
    noise = (drawn(xn.GaussianNoise(0.2))[0] - 1.0) / 0.2
    count = noise.size
    assert abs(noise.mean()) < 5 / math.sqrt(count)
    assert abs(noise.var() - 1.0) < 5 * math.sqrt(2 / count)
    assert abs((noise**3).mean()) < 5 * math.sqrt(15 / count)
    assert abs((abs(noise) > 2.0).mean() - 0.0455) < 5 * math.sqrt(0.0455 / count)
    correlation = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert abs(correlation) < 5 / math.sqrt(count)


@pytest.mark.parametrize("kind", NOISY)
def test_every_step_layer_and_seed_draws_anew(kind):
    """And inference draws nothing."""
    steps = drawn(NOISY[kind](), steps=3)
    again, other = drawn(NOISY[kind](), steps=3), drawn(NOISY[kind](), 3, seed=1)
    for i, a in enumerate(steps):
        assert np.array_equal(a, again[i])
        assert not np.array_equal(a, other[i])
        for b in steps[:i]:  # about as many agree as by chance
            agree = (a == b).mean()
            assert agree < (0.62 if kind == "Dropout" else 0.01)  # 0.3² + 0.7² = 0.58
    model = allocated(xn.Sequential([NOISY[kind](), NOISY[kind]()]).build(100))
    ones = np.ones(SHAPE)
    first, second = (layer.forward(ones, training=True) for layer in model.layers)
    assert not np.array_equal(first, second)
    assert np.array_equal(model.forward(ones, training=False), ones)


@pytest.mark.parametrize("kind", NOISY)
def test_axes_of_samples_and_of_networks_change_nothing(kind):
    flat = drawn(NOISY[kind](), shape=(50, 100), seed=4)[0]
    images = drawn(NOISY[kind](), shape=(50, 4, 25), seed=4)[0]
    assert np.array_equal(images.reshape(50, 100), flat)
    stacked = drawn(NOISY[kind](), steps=2, seed=4, lead=(3,))
    for i in range(3):
        alone = drawn(NOISY[kind](), steps=2, seed=4 + i)
        for a, b in zip(stacked, alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-15)


def noisy_trainer(model, **options):
    return xn.Trainer(
        model, "mean_squared_error", "sgd", device="cpu", dtype="float64", **options
    )


def masks(trainer, steps=3):
    """The gradients of W after each step; at W = 0 they show x ⊙ m alone."""
    x, seen = np.ones((1, 50)), []
    for _ in range(steps):
        trainer.step(x, np.ones((1, 1)))
        seen.append(trainer.gradients()["1.W"][:, 0] != 0.0)
    return np.array(seen)


def dropout_model():
    return xn.Sequential([xn.Dropout(0.5), xn.Dense(1, initializer="zeros")])


def test_a_trainer_draws_a_new_mask_each_step():
    recorded = masks(noisy_trainer(dropout_model()))
    assert len(np.unique(recorded, axis=0)) == 3
    assert not np.array_equal(recorded, masks(noisy_trainer(dropout_model(), seed=1)))


def test_the_masks_are_those_of_the_trainers_seed_also_for_a_used_model():
    """A second Trainer goes on with the weights, and draws from its own seed."""
    model = dropout_model()
    first = masks(noisy_trainer(model, seed=0), 1)
    model.buffers.params[...] = 0.0
    model.step[...] = 0
    second = masks(noisy_trainer(model, seed=1), 1)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, masks(noisy_trainer(dropout_model(), seed=1), 1))


def test_reading_the_loss_or_predicting_draws_nothing():
    quiet, curious = noisy_trainer(dropout_model()), noisy_trainer(dropout_model())
    x, y = np.ones((4, 50)), np.arange(4.0)[:, None]
    for _ in range(3):
        quiet.step(x, y)
        curious.step(x, y)
        assert curious.loss >= 0.0
        curious.predict(x)
        curious.evaluate(x, y)
    a, b = quiet.parameters(), curious.parameters()
    assert all(np.array_equal(a[name], b[name]) for name in a)
