"""Metrics against their formulas, one sample at a time."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import OUTPUTS, SAMPLES, data, in_turns, rng
from tests.training.examples import trainer
from xpnet.training.metrics import METRICS, confusion_matrix, top_k

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
    assert top_k(k).name == f"top_{k}"


def test_top_k_needs_as_many_classes():
    p, target, _ = case(9, "labels")
    with pytest.raises(ValueError, match=rf"k from 1 to {CLASSES} classes, got 7"):
        top_k(CLASSES + 1)(p, target)
    for k in (0, True, 1.0):
        with pytest.raises(ValueError, match="top_k: expected k >= 1, a whole number"):
            top_k(k)
    assert top_k(3) == METRICS["top_3"] != top_k(4)


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


def test_r2_warns_where_the_targets_do_not_vary():
    r2, y, flat = METRICS["r2"], np.arange(5.0)[:, None], np.full((5, 1), 3.0)
    says = pytest.warns(UserWarning, match="r2: the targets do not vary")
    with says:
        assert r2(flat, flat) == 1.0
    with says:
        assert r2(flat + 1.0, flat) == 0.0
    with says:  # the mean of which is another number
        assert r2([0.2] * 3, [0.1] * 3) == 0.0
    with says:
        assert r2(np.hstack([y, flat + 1.0]), np.hstack([y, flat])) == 0.5
    with says:
        r2(y + 1.0, np.minimum(y, 3.0), [0.0, 0.0, 0.0, 1.0, 1.0])  # those with weight
    x, _ = data()
    t = trainer(loss="mean_squared_error", outputs=1)
    with says:
        t.evaluate(x, np.ones(SAMPLES))
    with says:
        t.fit(x, x[:, 0], 1, 5, validation=(x, np.ones(SAMPLES)))


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


def frames():
    return pytest.importorskip("pandas")


# The forms in which numbers come, each made of an array.
FORMS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "column": lambda a: a.reshape(len(a), -1),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "fortran": lambda a: np.asfortranarray(a),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "series": lambda a: frames().Series(a, range(len(a), 0, -1)),
    "frame": lambda a: frames().DataFrame(a),
}
WHOLE = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for form in FORMS for name in ("r2", "accuracy")]
    + in_turns(METRICS, FORMS),
)
def test_the_form_of_the_arguments_changes_nothing(name, form):
    p, target, w = case(5, KINDS.get(name, "values"))
    made, wanted = FORMS[form], METRICS[name](p, target, w)
    if form != "series":
        assert METRICS[name](made(p), target, w) == wanted
    if form != "series" or target.ndim == 1:
        assert METRICS[name](p, made(target), w) == wanted
    if form not in ("column", "frame"):
        assert METRICS[name](p, target, made(w)) == wanted
    if name not in KINDS or KINDS[name] != "labels":
        one = METRICS[name](p[:, :1], target[:, :1], w)
        flat = (p[:, 0], target[:, 0])
        assert METRICS[name](made(flat[0]), target[:, :1], w) == one
        assert METRICS[name](p[:, :1], made(flat[1]), w) == one
        assert METRICS[name](*flat, w) == one


@pytest.mark.parametrize("dtype", [*WHOLE, "bool"])
def test_every_whole_type_counts_the_same(dtype):
    draw = rng(12)
    high = 2 if dtype == "bool" else 17
    labels, predicted = draw.integers(0, high, (2, 300))
    matrix = confusion_matrix(predicted, labels, high)
    labels, predicted = labels.astype(dtype), predicted.astype(dtype)
    assert matrix.sum() == 300
    assert confusion_matrix(predicted, labels, high).tolist() == matrix.tolist()
    assert confusion_matrix(predicted[:, None], labels, high).tolist() == (
        matrix.tolist()
    )
    p = draw.random((300, high))
    assert METRICS["accuracy"](p, labels) == np.mean(p.argmax(1) == labels)
    mae = METRICS["mean_absolute_error"](predicted, labels)
    assert mae == np.mean(abs(predicted.astype(float) - labels.astype(float)))


def test_one_output_has_one_meaning():
    y = np.linspace(1.0, 2.0, 1000)
    assert METRICS["r2"](y[:, None], y) == METRICS["r2"](y, y[:, None]) == 1.0


NAN, OFF = np.full(6, np.nan), np.array([0, 1, 2, 0, 1, -1])
ROWS, LABELS = np.eye(3)[[0, 1, 2, 0, 1, 2]], np.array([0, 1, 2, 0, 1, 2])
BAD_SCORES = [
    ("accuracy", (ROWS, OFF), ValueError, r"target: expected labels 0\.\.2, got -1"),
    ("accuracy", (ROWS, LABELS + 1), ValueError, r"expected labels 0\.\.2, got 3"),
    ("accuracy", (ROWS, LABELS + 0.5), TypeError, "whole-number labels"),
    ("accuracy", (ROWS, LABELS[:5]), ValueError, r"got \(5,\)"),
    ("accuracy", (ROWS, list("abcabc")), TypeError, "real numbers, got text"),
    ("accuracy", (LABELS, LABELS), ValueError, "at least 2 classes"),
    ("top_3", (ROWS[:, :2], LABELS % 2), ValueError, "from 1 to 2 classes, got 3"),
    ("accuracy", (ROWS[..., None], LABELS), ValueError, "predictions of shape"),
    ("accuracy", (ROWS[:0], LABELS[:0]), ValueError, "at least one sample"),
    ("r2", (ROWS, LABELS), ValueError, "targets of 3 columns"),
    ("r2", (NAN, LABELS), ValueError, "p: expected finite numbers, got nan"),
    ("r2", (LABELS, NAN), ValueError, "target: expected finite numbers, got nan"),
    ("r2", (ROWS[:, :2], ROWS), ValueError, r"one row, shape \(6, 2\)"),
    ("r2", (LABELS + 1j, LABELS), TypeError, "p: expected real numbers"),
    ("r2", (5.0, 5.0), ValueError, "p: expected one number a sample, got 5.0"),
    ("mean_absolute_error", (ROWS, LABELS), ValueError, "targets of 3 columns"),
    ("binary_accuracy", (ROWS, LABELS), ValueError, "targets of 3 columns"),
    ("r2", (ROWS, ROWS, np.ones(5)), ValueError, "sample_weight: expected shape"),
    ("r2", (ROWS, ROWS, -np.ones(6)), ValueError, "sample_weight: expected weights"),
    ("r2", (ROWS, ROWS, np.zeros(6)), ValueError, "sample_weight: expected weights"),
    ("r2", (ROWS, ROWS, NAN), ValueError, "sample_weight: expected finite"),
]


@pytest.mark.parametrize(("name", "arguments", "kind", "message"), BAD_SCORES)
def test_unfit_arguments_of_a_metric_are_told(name, arguments, kind, message):
    with pytest.raises(kind, match=f"{name.split('_3')[0]}.*{message}"):
        METRICS[name](*arguments)


@pytest.mark.parametrize(
    ("predicted", "labels", "classes", "kind", "message"),
    [
        ([0, 2], [0, 1], 2, ValueError, r"predicted: expected labels 0\.\.1, got 2"),
        ([0, 1], [0, -1], 2, ValueError, r"labels: expected labels 0\.\.1, got -1"),
        ([0, 1], [0, 1, 1], 2, ValueError, "as predicted has, 2, got 3"),
        ([0.0, 1.0], [0, 1], 2, TypeError, "predicted: expected whole-number labels"),
        (ROWS, LABELS, 3, ValueError, "predict_classes gives labels"),
        ([], [], 2, ValueError, "at least one sample"),
        ([0, 1], [0, 1], 2.0, ValueError, "expected classes >= 1"),
        (["a"], [0], 2, TypeError, "real numbers"),
    ],
)
def test_unfit_labels_of_a_confusion_matrix_are_told(
    predicted, labels, classes, kind, message
):
    with pytest.raises(kind, match=message):
        confusion_matrix(predicted, labels, classes)


def test_r2_is_not_defined_for_a_single_sample_nor_without_weights():
    one = np.ones((1, 2))
    assert np.isnan(METRICS["r2"](one, one))
    zeros, y = np.zeros(3), np.eye(3)
    for name in ("r2", "mean_absolute_error", "accuracy"):
        assert np.isnan(METRICS[name].score(y, y, zeros))  # of a fold without weights


def spread_of(p, target):
    """A metric of one's own that takes no weights."""
    return np.float32(np.ptp(p))


def test_a_metric_may_leave_the_weights_out():
    x, y = data()
    t = trainer(metrics=spread_of)
    assert t.evaluate(x, y)["spread_of"] == pytest.approx(float(np.ptp(t.predict(x))))
    with pytest.raises(ValueError, match="metric 'spread_of': it takes no weights"):
        t.evaluate(x, y, np.ones(SAMPLES))


def test_a_third_argument_with_a_value_is_not_for_weights():
    def above(p, target, limit=0.5):
        return (p > limit).mean()

    x, y = data()
    t = trainer(metrics=[above])
    assert t.evaluate(x, y)["above"] == (t.predict(x) > 0.5).mean()
    with pytest.raises(ValueError, match="metric 'above': it takes no weights"):
        t.evaluate(x, y, np.ones(SAMPLES))


def named(name, function=spread_of):
    return xn.Metric(function, name=name)


BAD_METRICS = [
    ([lambda p, t: 1.0, lambda p, t: 2.0], ValueError, "'<lambda>' .* two metrics"),
    (["accuracy", "accuracy"], ValueError, "'accuracy' .* of two metrics"),
    ([named("a"), named("a")], ValueError, "'a' would be the name of two"),
    ([named("accuracy"), "accuracy"], ValueError, "'accuracy' would be the name"),
    ([named("loss")], ValueError, "'loss' would be the name of the loss"),
    ([lambda p: 1.0], TypeError, r"function of \(prediction, target, weights\)"),
    ([lambda p, t, w, v: 1.0], TypeError, r"function of \(prediction, target"),
    ([lambda y_true, y_pred: 1.0], ValueError, r"say what y_pred is: .*takes='labels'"),
    ([xn.Metric(spread_of, takes="values")], ValueError, "it takes values, which"),
]


@pytest.mark.parametrize(("metrics", "kind", "message"), BAD_METRICS)
def test_unfit_metrics_are_told_when_a_trainer_is_made(metrics, kind, message):
    with pytest.raises(kind, match=message):
        trainer(metrics=metrics)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"function": 3}, TypeError, "Metric: expected a function, got 3"),
        ({"higher_is_better": "max"}, TypeError, "higher_is_better: expected True or"),
        ({"name": 3}, TypeError, "Metric: expected name, a text"),
        ({"takes": "label"}, ValueError, "takes 'label'; did you mean 'labels'"),
    ],
)
def test_unfit_arguments_of_a_metric_of_ones_own(arguments, kind, message):
    with pytest.raises(kind, match=message):
        xn.Metric(**{"function": spread_of, **arguments})


def test_two_functions_have_two_curves():
    x, y = data()
    metrics = [
        xn.Metric(lambda p, t: 1.0, name="a"),
        xn.Metric(lambda p, t: 2.0, name="b"),
    ]
    history = trainer(metrics=metrics).fit(x, y, 1, 5, validation=(x, y))
    assert (history["val_a"], history["val_b"]) == ([1.0], [2.0])


def fits(t, x, y):
    return t.fit(x, y, 2, 5, validation=(x, y))


def stacks(t, x, y):
    return xn.Stack([t]).fit(x, y, 2, 5, validation=(x, y))


def minimizes(t, x, y):
    return xn.minimize(t, x, y, steps=2, validation=(x, y))


@pytest.mark.parametrize("train", [fits, stacks, minimizes])
@pytest.mark.parametrize(
    ("metric", "kind", "message"),
    [
        (lambda p, t, w: p, TypeError, r"'<lambda>'.*a number, got ndarray of shape"),
        (lambda p, t, w: None, TypeError, "'<lambda>'.*a number, got NoneType"),
        (lambda p, t, w: 1 / 0, ValueError, "'<lambda>'.*ZeroDivisionError"),
        (lambda p, t, w: "1", TypeError, "'<lambda>'.*a number, got str"),
        (lambda p, t, w: p.sort() or 1.0, ValueError, "'<lambda>'.*read-only"),
        (lambda p, t: t.fill(0) or 1.0, ValueError, "'<lambda>'.*read-only"),
        ("r2", ValueError, "r2: expected targets of 3 columns"),
        ("top_5", ValueError, "top_k: .* 3 classes, got 5"),
    ],
)
def test_a_metric_that_fails_is_told_before_the_first_epoch(
    train, metric, kind, message
):
    x, y = data()
    t = trainer(metrics=[metric])
    with pytest.raises(kind, match=message):
        train(t, x, y)
    assert (t.steps_done, t.epochs_done) == (0, 0)


def test_accuracy_of_one_output_is_no_accuracy():
    x, y = data("binary")
    t = trainer(loss="binary_cross_entropy", outputs=1, metrics="accuracy")
    for use in (t.evaluate, lambda x, y: fits(t, x, y)):
        with pytest.raises(ValueError, match="binary_accuracy is for one output"):
            use(x, y[:, 0])
