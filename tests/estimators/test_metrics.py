"""Functions of scikit-learn as metrics of a Trainer."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES, data, rng
from tests.training.examples import trainer

metrics = pytest.importorskip("sklearn.metrics", reason="these are its functions")

LOSS_OF = {"labels": "softmax_cross_entropy", "binary": "binary_cross_entropy"}


def sklearn_scores():
    """(function, targets, outputs, direction, what it should be given)."""
    m = metrics

    def said(p):
        return p.argmax(1) if p.shape[1] > 1 else (p >= 0.5)[:, 0]

    return [
        (m.accuracy_score, "labels", 3, True, said),
        (partial(m.f1_score, average="macro"), "labels", 3, True, said),
        (m.log_loss, "labels", 3, False, lambda p: p),
        (partial(m.roc_auc_score, multi_class="ovr"), "labels", 3, True, lambda p: p),
        (m.f1_score, "binary", 1, True, said),
        (m.roc_auc_score, "binary", 1, True, lambda p: p[:, 0]),
        (m.accuracy_score, "binary", 3, True, lambda p: p >= 0.5),
        (m.r2_score, "values", 1, True, lambda p: p[:, 0]),
        (m.mean_squared_error, "values", 3, False, lambda p: p),
        (m.max_error, "values", 1, False, lambda p: p[:, 0]),
    ]


@pytest.mark.parametrize(
    ("function", "kind", "outputs", "higher", "given"), sklearn_scores()
)
def test_functions_of_scikit_learn_are_called_as_there(
    function, kind, outputs, higher, given
):
    x, y = data(kind)
    y = y if kind == "labels" or outputs > 1 else y[:, 0]
    loss = LOSS_OF.get(kind, "mean_squared_error")
    t = trainer(loss=loss, outputs=outputs, metrics=[function], dtype="float64")
    (metric,) = t.metrics.values()
    assert metric.higher_is_better is higher
    history = t.fit(x, y, 2, 5, validation=(x, y))
    wanted = function(y, given(t.predict(x)))
    assert history[f"val_{metric.name}"][-1] == pytest.approx(wanted)
    w = rng(3).uniform(0.5, 2.0, SAMPLES)
    if metric.weighted:
        wanted = function(y, given(t.predict(x)), sample_weight=w)
        assert t.evaluate(x, y, w)[metric.name] == pytest.approx(wanted)


def test_a_metric_of_scikit_learn_called_by_hand():
    p, y = rng(1).random((9, 1)), rng(2).integers(0, 2, 9)
    f1 = xn.Metric(metrics.f1_score, takes="labels")
    assert f1(p, y) == metrics.f1_score(y, p[:, 0] >= 0.5)
    assert f1(np.hstack([1 - p, p]), y.tolist()) == f1(p, y)
    with pytest.raises(ValueError, match="f1_score: expected labels"):
        f1(np.eye(3), np.eye(3))
    again = pickle.loads(pickle.dumps(f1))
    assert again == f1 == copy.deepcopy(f1)
    assert again(p, y) == f1(p, y)


def test_early_stopping_goes_by_what_scikit_learn_says():
    x, y = data()
    t = trainer(metrics=[metrics.accuracy_score, metrics.log_loss])
    weights = []

    class Seen(xn.Callback):
        def on_epoch_end(self, trainer, row):
            weights.append(trainer.snapshot()[0].copy())

    early = xn.EarlyStopping("val_log_loss")
    history = t.fit(x, y, 5, 5, validation=(x, y), callbacks=[Seen(), early])
    best = int(np.argmin(history["val_log_loss"]))
    assert np.array_equal(t.snapshot()[0], weights[best])


def test_a_function_that_scikit_learn_does_not_rank_asks():
    with pytest.raises(ValueError, match="say what pred_decision is"):
        trainer(metrics=[metrics.hinge_loss])
