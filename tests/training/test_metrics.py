"""Metrics against their formulas, one sample at a time."""

import numpy as np
import pytest

import xpnet as xn
from tests.training.examples import OUTPUTS, SAMPLES, data, rng, trainer
from xpnet.training import METRICS, confusion_matrix
from xpnet.training.metrics import top_k

CLASSES = 6


def case(seed, kind):
    """(prediction, target, weights) of random samples."""
    draw = rng(seed, 7)
    p = draw.random((40, CLASSES))
    target = {
        "labels": lambda: draw.integers(0, CLASSES, 40),
        "binary": lambda: draw.integers(0, 2, (40, CLASSES)).astype(np.float64),
        "values": lambda: draw.standard_normal((40, CLASSES)),
    }[kind]()
    return p, target, draw.uniform(0.0, 3.0, 40)


def by_hand(name, p, t):
    """The score of one sample."""
    if name == "accuracy":
        return float(max(range(CLASSES), key=lambda i: p[i]) == t)
    if name == "binary_accuracy":
        return sum((a >= 0.5) == (b >= 0.5) for a, b in zip(p, t, strict=True)) / len(p)
    if name.startswith("top_"):
        best = sorted(range(CLASSES), key=lambda i: -p[i])[: int(name[4:])]
        return float(t in best)
    return sum(abs(a - b) for a, b in zip(p, t, strict=True)) / len(p)


KINDS = {
    "accuracy": "labels",
    "binary_accuracy": "binary",
    "top_3": "labels",
    "top_5": "labels",
    "mean_absolute_error": "values",
}


def test_every_metric_of_the_table_is_tested():
    assert set(KINDS) | {"r2"} == set(METRICS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", KINDS)
def test_means_over_samples_agree_with_the_formula(name, seed):
    p, target, w = case(seed, KINDS[name])
    scores = [by_hand(name, a, b) for a, b in zip(p, target, strict=True)]
    assert METRICS[name](p, target, None) == pytest.approx(np.mean(scores))
    weighted = sum(w * scores) / sum(w)
    assert METRICS[name](p, target, w) == pytest.approx(weighted)
    if KINDS[name] == "labels":
        one_hot = np.eye(CLASSES)[target]
        assert METRICS[name](p, one_hot, w) == pytest.approx(weighted)


@pytest.mark.parametrize("k", [1, 2, CLASSES])
def test_top_k_counts_labels_among_the_best(k):
    p, target, w = case(9, "labels")
    scores = [by_hand(f"top_{k}", a, b) for a, b in zip(p, target, strict=True)]
    assert top_k(k)(p, target, w) == pytest.approx(np.average(scores, weights=w))
    assert top_k(k).__name__ == f"top_{k}"


@pytest.mark.parametrize("k", [0, CLASSES + 1])
def test_top_k_needs_as_many_classes(k):
    p, target, _ = case(9, "labels")
    with pytest.raises(ValueError, match=rf"k from 1 to {CLASSES} classes, got {k}"):
        top_k(k)(p, target)


def test_r2_is_the_share_of_variance_explained():
    p, target, w = case(3, "values")
    for weights in (None, w):
        scores = []
        for column in range(CLASSES):
            y, f = target[:, column], p[:, column]
            v = np.ones(len(y)) if weights is None else weights
            mean = (v * y).sum() / v.sum()
            scores.append(1 - (v * (y - f) ** 2).sum() / (v * (y - mean) ** 2).sum())
        assert METRICS["r2"](p, target, weights) == pytest.approx(np.mean(scores))


def test_r2_knows_its_landmarks():
    r2, y = METRICS["r2"], np.arange(5.0)[:, None]
    assert r2(y, y) == 1.0
    assert r2(np.full_like(y, 2.0), y) == 0.0
    assert r2(-y, y) < 0.0
    flat = np.full((5, 1), 3.0)
    assert r2(flat, flat) == 1.0
    assert r2(flat + 1.0, flat) == 0.0
    assert r2(np.hstack([y, flat + 1.0]), np.hstack([y, flat])) == 0.5


def test_the_confusion_matrix_counts_label_by_prediction():
    draw = rng(11)
    labels, predicted = draw.integers(0, CLASSES, (2, 50))
    matrix = confusion_matrix(predicted, labels, CLASSES)
    expected = np.zeros((CLASSES, CLASSES), int)
    for label, guess in zip(labels, predicted, strict=True):
        expected[label, guess] += 1
    assert matrix.tolist() == expected.tolist()
    assert not np.array_equal(expected, expected.T)


def spread(p, target, weights):
    """A metric of one's own."""
    return float(p.max() - p.min()) + (0.0 if weights is None else 100.0)


def test_metrics_are_named_or_ones_own():
    x, y = data()
    t = trainer(metrics=["top_3", spread, "accuracy"])
    history = t.fit(x, y, 2, 5, validation=(x, y))
    scores = t.evaluate(x, y)
    assert list(scores) == ["loss", "top_3", "spread", "accuracy"]
    assert scores["top_3"] == 1.0
    p = t.predict(x)
    assert scores["spread"] == pytest.approx(float(p.max() - p.min()))
    assert history["val_spread"][-1] == scores["spread"]
    assert t.evaluate(x, y, np.ones(SAMPLES))["spread"] > 100.0


@pytest.mark.parametrize("metrics", ["accuracy", ["accuracy"], ("accuracy",)])
def test_a_single_metric_needs_no_list(metrics):
    x, y = data()
    assert set(trainer(metrics=metrics).evaluate(x, y)) == {"loss", "accuracy"}
    assert set(trainer(metrics=spread).evaluate(x, y)) == {"loss", "spread"}
    assert set(trainer(metrics=[]).evaluate(x, y)) == {"loss"}


def test_a_misspelt_metric_is_told_the_nearest_one():
    with pytest.raises(ValueError, match=r"metric 'acuracy'; did you mean 'accuracy'"):
        trainer(metrics=["acuracy"])
    with pytest.raises(TypeError, match=r"metric: expected a name, got int"):
        trainer(metrics=[3])


def test_too_few_classes_for_a_metric_are_told():
    x, y = data()
    with pytest.raises(ValueError, match=rf"top_k: .* {OUTPUTS} classes, got 5"):
        trainer(metrics=["top_5"]).evaluate(x, y)
    assert xn.confusion_matrix is confusion_matrix
