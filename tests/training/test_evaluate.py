"""evaluate and predict: the formulas, for any batch size."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import LAYERS, OUTPUTS, SAMPLES, TARGETS, data, rng
from tests.training.examples import softmax, trainer
from tests.ways import same

# The loss of each sample from logits (or outputs) z and targets t, in float64.
FORMULAS = {
    "mean_squared_error": lambda z, t: ((z - t) ** 2).mean(axis=1),
    "mean_absolute_error": lambda z, t: np.abs(z - t).mean(axis=1),
    "huber": lambda z, t: np.where(
        np.abs(z - t) <= 1.0, 0.5 * (z - t) ** 2, np.abs(z - t) - 0.5
    ).mean(axis=1),
    "binary_cross_entropy": lambda z, t: (
        (
            np.log1p(np.exp(z)) - t * z  # fine for the small z here
        ).mean(axis=1)
    ),
    "softmax_cross_entropy": lambda z, t: -(t * np.log(softmax(z))).sum(axis=1),
}
LINKS = {
    "binary_cross_entropy": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "softmax_cross_entropy": softmax,
}


def linear(loss, dtype="float64"):
    """A linear model and its outputs on the samples of `data`, by NumPy."""
    x, y = data(TARGETS[loss])
    t = trainer("none", loss, dtype=dtype)
    t.fit(x, y, 2, 5)
    p = t.parameters()
    return t, x, y, x @ p["0.W"] + p["0.b"]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", FORMULAS)
def test_the_loss_is_the_weighted_mean_of_the_formula(loss, weighted):
    t, x, y, z = linear(loss)
    w = rng(5).uniform(0.0, 4.0, SAMPLES) if weighted else np.ones(SAMPLES)
    target = np.eye(OUTPUTS)[y] if TARGETS[loss] == "labels" else y
    expected = np.average(FORMULAS[loss](z, target), weights=w)
    whole = t.evaluate(x, y, w if weighted else None)
    assert len(whole) > 1
    for batch_size in (None, 1, 5, SAMPLES, 1000):
        scores = t.evaluate(x, y, w if weighted else None, batch_size)
        assert scores["loss"] == pytest.approx(expected, rel=1e-12)
        assert scores == pytest.approx(whole)


@pytest.mark.parametrize("loss", FORMULAS)
def test_predictions_are_the_link_of_the_outputs(loss):
    t, x, _, z = linear(loss)
    expected = LINKS.get(loss, lambda z: z)(z)
    for batch_size in (None, 1, 5, 22, SAMPLES, 1000):
        np.testing.assert_allclose(t.predict(x, batch_size), expected, atol=1e-13)


@pytest.mark.parametrize("hidden", LAYERS)
def test_predictions_of_any_batch_size_agree_to_rounding(hidden):
    x, y = data()
    t = trainer(hidden)
    t.fit(x, y, 2, 5)
    whole = t.predict(x)
    assert whole.shape == (SAMPLES, OUTPUTS)
    assert whole.dtype == np.float32
    for batch_size in (1, 2, 5, 22, SAMPLES, 1000):
        np.testing.assert_allclose(t.predict(x, batch_size), whole, rtol=2e-5)
    assert same([t.predict(x)], [whole])
    np.testing.assert_allclose(t.predict(x[:1])[0], whole[0], rtol=2e-5)


def test_the_default_metrics_fit_the_loss():
    names = {"labels": {"accuracy"}, "binary": {"binary_accuracy"}}
    for loss, targets in TARGETS.items():
        t, x, y, _ = linear(loss)
        expected = names.get(targets, {"mean_absolute_error", "r2"})
        assert set(t.evaluate(x, y)) == {"loss", *expected}


def test_shares_of_each_class_are_targets_too():
    x, y = data("shares")
    t = trainer("none", dtype="float64")
    t.fit(x, y, 3, 5)
    p = t.parameters()
    z = x @ p["0.W"] + p["0.b"]
    scores = t.evaluate(x, y)
    expected = FORMULAS["softmax_cross_entropy"](z, y).mean()
    assert scores["loss"] == pytest.approx(expected, rel=1e-12)
    assert scores["accuracy"] == (z.argmax(axis=1) == y.argmax(axis=1)).mean()
    one_hot, labels = trainer(), trainer()
    x, y = data()
    one_hot.fit(x, np.eye(OUTPUTS)[y], 2, 5)
    labels.fit(x, y, 2, 5)
    assert same(one_hot.parameters(), labels.parameters())


@pytest.mark.slow
def test_evaluating_and_predicting_change_nothing():
    x, y = data()
    for hidden in LAYERS:
        t, other = trainer(hidden), trainer(hidden)
        for one in (t, other):
            one.fit(x, y, 1, 5)
        t.evaluate(x, y)
        t.predict(x)
        assert same(t.snapshot(), other.snapshot())
        t.fit(x, y, 1, 5)
        other.fit(x, y, 1, 5)
        assert same(t.snapshot(), other.snapshot())


def test_classes_are_the_most_probable_ones():
    t, x, _, z = linear("softmax_cross_entropy")
    classes = t.predict_classes(x)
    assert classes.dtype.kind == "i"
    assert classes.tolist() == z.argmax(axis=1).tolist()
    assert t.predict_classes(x, batch_size=4).tolist() == classes.tolist()
    assert len(set(classes.tolist())) > 1


@pytest.mark.parametrize("outputs", [1, OUTPUTS])
def test_yes_and_no_are_one_and_zero(outputs):
    x, y = data("binary")
    t = trainer("none", "binary_cross_entropy", outputs=outputs, dtype="float64")
    t.fit(x, y[:, :outputs], 5, 5)
    p = t.parameters()
    expected = (x @ p["0.W"] + p["0.b"] >= 0.0).astype(int)
    answers = t.predict_classes(x)
    assert answers.dtype.kind == "i"
    assert answers.tolist() == (expected[:, 0] if outputs == 1 else expected).tolist()
    assert set(answers.ravel().tolist()) == {0, 1}


def test_a_regression_has_no_classes():
    t, x, _, _ = linear("huber")
    with pytest.raises(
        ValueError, match=r"predict_classes: expected a classifying loss, got Huber; "
    ):
        t.predict_classes(x)


def test_a_trainer_predicts_before_it_is_trained():
    x, y = data()
    t = trainer()
    assert t.predict(x).sum(axis=1) == pytest.approx(1.0)
    assert xn.Trainer(t.model, "huber", device="cpu").predict(x).shape == (SAMPLES, 3)
    assert t.evaluate(x, y)["loss"] > 0.0
