"""Functions of scikit-learn as metrics of a Trainer."""

from functools import partial

import pytest

from tests.training.examples import SAMPLES, data, rng, trainer

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
