"""The objective of a batch: the weighted mean of its losses, labels, class weights."""

import numpy as np
import pytest

import xpnet as xn
from tests.layers.examples import rng
from xpnet.layers import LOSSES

S = 0.1  # label smoothing


def soft(loss, shape):
    """Targets: numbers, or shares where the loss wants them."""
    t = rng(1).standard_normal(shape)
    if loss.targets == "values":
        return t
    t = np.exp(t)
    return t / t.sum(-1, keepdims=True)


def stepped(loss, x, y, **weights):
    """(loss, gradients) of one step of a fresh network at a rate near 0."""
    model = xn.Sequential([xn.Dense(5, "tanh"), xn.Dense(4)])
    trainer = xn.Trainer(model, loss, xn.SGD(1e-9), device="cpu", dtype="float64")
    trainer.step(x, y, **weights)
    return trainer.loss, trainer.gradients()


def same(a, b):
    """Whether two (loss, gradients) agree to rounding."""
    np.testing.assert_allclose(a[0], b[0], rtol=1e-13)
    for name, values in a[1].items():
        np.testing.assert_allclose(values, b[1][name], rtol=1e-10, atol=1e-14)


def batch(loss, samples=6):
    """x (samples, 3) and soft or real targets (samples, 4)."""
    return rng(2).standard_normal((samples, 3)), soft(loss, (samples, 4))


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_is_how_often_a_sample_is_there(name):
    """Only their ratio counts; the loss is the weighted mean of the rows."""
    x, y = batch(LOSSES[name]())
    w, there = np.array([1.0, 1.0, 2.0, 1.0, 0.0, 1.0]), [0, 1, 2, 2, 3, 5]
    weighted = stepped(name, x, y, sample_weight=w)
    same(weighted, stepped(name, x[there], y[there]))
    same(weighted, stepped(name, x, y, sample_weight=7.0 * w))
    same(stepped(name, x, y), stepped(name, x, y, sample_weight=np.full(6, 3.0)))
    assert abs(weighted[0] - stepped(name, x, y)[0]) > 1e-6
    model = xn.Sequential([xn.Dense(4)])
    trainer = xn.Trainer(model, name, xn.SGD(1e-9), "cpu", "float64")
    trainer.build(3)
    rows = LOSSES[name]().rows(x @ trainer.parameters()["0.W"], y)[:, 0]
    trainer.step(x, y, sample_weight=w)
    assert trainer.loss == pytest.approx(np.average(rows, weights=w), rel=1e-13)


@pytest.mark.parametrize("s", [0.0, S])
def test_labels_are_one_hot_rows_and_smoothing_is_a_share_for_every_class(s):
    loss, labels = xn.SoftmaxCrossEntropy(s), np.array([0, 3, 2, 1, 1, 0])
    x, shares = batch(loss)
    by_label = stepped(loss, x, labels)
    for y in (np.eye(4)[labels], labels[:, None], labels.astype(np.uint8)):
        same(by_label, stepped(loss, x, y))
    smoothed = (1 - s) * shares + s / 4
    same(stepped(loss, x, shares), stepped("softmax_cross_entropy", x, smoothed))


@pytest.mark.parametrize(
    ("name", "y", "units"),
    [
        ("softmax_cross_entropy", np.arange(6) % 3, 3),
        ("binary_cross_entropy", np.arange(6) % 2, 1),
        ("mean_squared_error", np.arange(6.0), 1),
    ],
)
def test_a_row_and_a_column_of_targets_are_the_same_step_after_step(name, y, units):
    x, losses = rng(2).standard_normal((6, 3)), []
    for targets in (y, y[:, None]):
        model = xn.Sequential([xn.Dense(units)])
        trainer = xn.Trainer(model, name, xn.SGD(0.1), device="cpu", dtype="float64")
        for _ in range(3):
            trainer.step(x, targets)
        losses.append(trainer.loss)
    assert losses[0] == losses[1]


def fitted(y, epochs=3, **weights):
    """The parameters after `fit` on full batches."""
    x, _ = batch(xn.SoftmaxCrossEntropy(), len(y))
    model = xn.Sequential([xn.Dense(3)])
    trainer = xn.Trainer(
        model, "softmax_cross_entropy", xn.SGD(0.5), device="cpu", dtype="float64"
    )
    trainer.fit(x, y, epochs=epochs, batch_size=None, verbose=False, **weights)
    return trainer.parameters()["0.W"]


def test_class_weights_are_sample_weights_by_label():
    y = np.array([0, 1, 2, 1, 1, 0, 1, 1])
    table = np.array([2.0, 0.5, 1.0])
    by_class = fitted(y, class_weight={0: 2.0, 1: 0.5})
    by_sample = fitted(y, sample_weight=table[y])
    np.testing.assert_allclose(by_class, by_sample, rtol=1e-13)
    balanced = len(y) / (3 * np.bincount(y))
    np.testing.assert_allclose(
        fitted(y, class_weight="balanced"),
        fitted(y, sample_weight=balanced[y]),
        rtol=1e-13,
    )
    both = fitted(y, class_weight={0: 2.0}, sample_weight=np.arange(1.0, 9.0))
    product = np.arange(1.0, 9.0) * np.where(y == 0, 2.0, 1.0)
    np.testing.assert_allclose(both, fitted(y, sample_weight=product), rtol=1e-13)
    assert abs(by_class - fitted(y)).max() > 1e-3
