"""Bad input is told in one line: what was expected, what came, what to do."""

import re

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, OUTPUTS, SAMPLES
from tests.training.entrances import VALUES, X, Y, entrances, readers
from tests.training.examples import trainer
from tests.ways import same
from xpnet.training import inputs

NAN, INF = float("nan"), float("inf")


class Sparse:
    """What a SciPy matrix looks like from outside."""

    shape = (SAMPLES, FEATURES)

    def toarray(self):
        return X


class OnDevice:
    """What an array on a GPU looks like from outside."""

    __cuda_array_interface__ = ()
    device = type("Device", (), {"id": 1})()


def changed(values, at, to):
    values = np.array(values, np.float64)
    values[at] = to
    return values


def fails(call, error, *parts):
    """`call()` raises `error` with one line that holds `parts`."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert re.search(part, message), message
    return message


BAD_X = {
    "wrong width": (X[:, :3], ValueError, r"x: .*\(samples, 5\).*got \(23, 3\)"),
    "one axis": (X[0], ValueError, r"x: .*\(5,\); .*x.reshape\(1, -1\)"),
    "no axis": (3.0, ValueError, r"x: .*\(samples, features\), got \(\)"),
    "three axes": (X[:, :, None], ValueError, r"x: .*got \(23, 5, 1\)"),
    "no samples": (X[:0], ValueError, r"x: .*at least one sample.*\(0, 5\)"),
    "text": (X.astype(str), TypeError, r"x: .*real numbers, got text; .*encode"),
    "a list of text": ([["a", "b"]], TypeError, r"x: .*got text"),
    "an object": (
        object(),
        TypeError,
        r"x: .*real numbers, got a value of type object; encode",
    ),
    "a set": ({1.0}, TypeError, r"x: .*real numbers, got a value of type set; encode"),
    "text among objects": (
        np.where(np.arange(5) == 4, "a", X.astype(object)),
        TypeError,
        r"x: .*got text 'a' in column 4, row 0; encode",
    ),
    "missing": (
        np.where(np.arange(5) == 3, None, X),
        TypeError,
        r"x: .*got a missing entry \(None\) in column 3, row 0; encode",
    ),
    "masked": (
        np.ma.array(X, mask=X[7, 2] == X),
        ValueError,
        r"x: .*masked values, got 1, the first at x\[7, 2\]; drop",
    ),
    "masked rows": (
        [np.ma.array(row, mask=row == X[7, 2]) for row in X],
        ValueError,
        r"x: .*masked values, got 1, the first at x\[2\]; drop",
    ),
    "complex": (X * 1j, TypeError, r"x: .*real numbers, got complex128"),
    "times": (X.astype("M8[s]"), TypeError, r"x: .*real numbers, got datetime64"),
    "nothing": (None, TypeError, r"x: .*real numbers, got"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, r"x: .*equal length, got a ragged"),
    "sparse": (Sparse(), TypeError, r"x: .*dense.*sparse Sparse; pass x.toarray\(\)"),
    "NaN": (changed(X, (7, 2), NAN), ValueError, r"x: .*got nan at x\[7, 2\]; drop"),
    "infinity": (changed(X, (22, 0), -INF), ValueError, r"got -inf at x\[22, 0\]"),
    "device": (
        OnDevice(),
        ValueError,
        r"x: .*on (cuda:1|a GPU).*; .*asnumpy",
    ),
    "beyond float32": (changed(X, (3, 1), 1e300), ValueError, r"x: .*1e\+300"),
}
LABELS = r"y: .*labels 0\.\.2"
BAD_LABELS = {
    "too many": (np.append(Y, 0), ValueError, r"y: .*one target a sample, 23; got 24"),
    "too few": (Y[:-1], ValueError, r"y: .*a sample, 23; got 22"),
    "a number": (1, ValueError, r"y: .*a sample, 23; got a single number"),
    "out of range": (
        np.where(Y == 2, 3, Y),
        ValueError,
        LABELS + r".*got 3; .*4 units",
    ),
    "negative": (np.where(Y == 2, -1, Y), ValueError, LABELS + r".*got -1; number"),
    "above int32": (np.where(Y == 2, 1 << 32, Y), ValueError, LABELS),
    "fractions": (Y + 0.5, TypeError, r"y: .*whole-number labels 0\.\.2, got float64"),
    "text": (np.array(list("abc"))[Y], TypeError, r"y: .*got text; .*np.unique"),
    "no one-hot": (
        np.ones((SAMPLES, 3)),
        ValueError,
        r"y: .*sum to 1 .*got 3 in row 0",
    ),
    "shares": (np.eye(3)[Y] * 2 - 0.5, ValueError, r"y: .*from 0 to 1, got -0\.5"),
    "NaN": (changed(np.eye(3)[Y], (4, 1), NAN), ValueError, r"got nan at y\[4, 1\]"),
    "two columns": (
        np.eye(2)[Y % 2],
        ValueError,
        r"y: .*\(23, 3\).*got \(23, 2\); the",
    ),
    "ragged": ([[1], [1, 2]], ValueError, r"y: .*ragged"),
    "sparse": (Sparse(), TypeError, r"y: .*sparse Sparse; pass y.toarray\(\)"),
    "masked": (
        np.ma.array(Y, mask=np.arange(SAMPLES) == 4),
        ValueError,
        r"y: .*got 1, the first at y\[4\]",
    ),
    "missing": (
        np.where(np.arange(SAMPLES) == 4, None, Y),
        TypeError,
        r"y: .*got a missing entry \(None\), row 4",
    ),
    "negative in a column": (Y[:, None] - 1, ValueError, LABELS + ".*got -1; number"),
    "wrapped": (Y.astype(np.uint64) - np.uint64(1), ValueError, LABELS),
}
BAD_VALUES = {
    "width": (VALUES[:, :2], ValueError, r"y: .*\(23, 3\), .*got \(23, 2\); .*2 units"),
    "NaN": (changed(VALUES, (4, 1), NAN), ValueError, r"y: .*got nan at y\[4, 1\]"),
    "infinity": (changed(VALUES, (0, 0), INF), ValueError, r"got inf at y\[0, 0\]"),
    "complex": (VALUES * 1j, TypeError, r"y: .*real numbers, got complex128"),
    "beyond float32": (changed(VALUES, (0, 1), -1e300), ValueError, r"y: .*1e\+300"),
}
BAD_ANSWERS = {
    "range": (np.full((SAMPLES, 3), 2.0), ValueError, r"y: .*from 0 to 1, got 2"),
    "width": (np.ones(SAMPLES), ValueError, r"y: .*\(23, 3\).*got \(23, 1\)"),
}
BAD_WEIGHTS = {
    "length": (np.ones(22), ValueError, r"sample_weight: .*\(23,\).*got \(22,\)"),
    "column": (np.ones((23, 1)), ValueError, r"weight: .*\(23, 1\); .*reshape\(-1\)"),
    "a number": (2.0, ValueError, r"sample_weight: .*\(23,\).*got \(\)"),
    "masked": (
        np.ma.array(np.ones(23), mask=np.arange(23) == 3),
        ValueError,
        r"the first at sample_weight\[3\]",
    ),
    "negative": (changed(np.ones(23), 3, -1.0), ValueError, r"weights >= 0 .*got -1"),
    "zero": (np.zeros(23), ValueError, r"at least one above 0, got 0\.\.0"),
    "NaN": (changed(np.ones(23), 3, NAN), ValueError, r"got nan at sample_weight\[3\]"),
    "text": (["a"] * 23, TypeError, r"sample_weight: .*got text"),
}


# check_gradients computes in float64.
FLOAT64 = {"beyond float32"}


CE, MSE, BCE = "softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"
BAD = [  # what is bad, the loss, its values
    ("x", CE, BAD_X), ("w", CE, BAD_WEIGHTS),
    ("y", CE, BAD_LABELS), ("y", MSE, BAD_VALUES), ("y", BCE, BAD_ANSWERS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "loss", "bad"), [(what, loss, bad) for what, loss, v in BAD for bad in v]
)
def test_what_is_bad_is_told_at_every_entrance(what, loss, bad):
    rows = next(rows for which, of, rows in BAD if (which, of) == (what, loss))
    value, error, message = rows[bad]
    given = {"x": X, "y": Y, "w": None, what: value}
    for name, enter in entrances(loss).items():
        if name != "check_gradients" or bad not in FLOAT64:
            told = fails(lambda enter=enter: enter(*given.values()), error, message)
            if what == "y":
                assert told.startswith("validation: ") == (name == "validation")
    for read in readers().values() if what == "x" else ():
        fails(lambda read=read: read(value), error, message)


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_what_is_refused_changes_nothing(trained):
    t = trainer()
    t.build(FEATURES)
    if trained:
        t.fit(X, Y, 1, 5)
    before, steps = t.snapshot(), t.steps_done
    for x, y, w in ((X[:, :3], Y, None), (X, Y + 1, None), (X, Y, np.zeros(23))):
        for call in (
            lambda x=x, y=y, w=w: t.fit(x, y, 1, 5, sample_weight=w),
            lambda x=x, y=y, w=w: t.step(x, y, w),
            lambda x=x, y=y, w=w: t.evaluate(x, y, w),
            lambda x=x, y=y, w=w: t.fit(X, Y, 1, 5, (x, y, w)),
        ):
            fails(call, ValueError, "expected")
    assert same(t.snapshot(), before)
    assert t.steps_done == steps


@pytest.mark.parametrize("chunk", [1, 7, 12, 1000])
def test_the_place_is_right_wherever_the_search_is_cut(chunk, monkeypatch):
    monkeypatch.setattr(inputs, "CHUNK", chunk)
    for row, column in ((0, 0), (7, 2), (22, 4)):
        x = changed(X, (row, column), NAN)
        fails(lambda x=x: trainer().predict(x), ValueError, rf"x\[{row}, {column}\];")
    trainer().predict(X)


FIT = {
    "batch size 0": ({"batch_size": 0}, ValueError, r"batch_size: .*>= 1\b.*got 0"),
    "half a batch": ({"batch_size": 2.5}, ValueError, r"batch_size: .*whole.*got 2\.5"),
    "batch of text": ({"batch_size": "5"}, ValueError, r"batch_size: .*got '5'"),
    "no epochs": ({"epochs": 0}, ValueError, r"epochs: .*>= 1\b.*got 0"),
    "half an epoch": ({"epochs": 1.5}, ValueError, r"epochs: .*whole.*got 1\.5"),
    "true epochs": ({"epochs": True}, ValueError, r"epochs: .*whole.*got True"),
    "validation list": (
        {"validation": [X, Y]},
        TypeError,
        r"validation: .*\(x, y\).*g",
    ),
    "validation x": (
        {"validation": X},
        TypeError,
        r"validation: .*ndarray; xpnet.split",
    ),
    "short validation": ({"validation": (X,)}, TypeError, r"validation: expected"),
    "class label": ({"class_weight": {3: 1.0}}, ValueError, r"labels 0\.\.2, got 3"),
    "class weight": ({"class_weight": {0: -1.0}}, ValueError, r">= 0, got -1"),
    "class NaN": ({"class_weight": {0: NAN}}, ValueError, r"class_weight: .*got nan"),
    "class zero": (
        {"class_weight": dict.fromkeys(range(3), 0.0)},
        ValueError,
        r"class_weight|sample_weight",
    ),
    "class text": ({"class_weight": {0: "1"}}, TypeError, r"class_weight: .*got '1'"),
    "class half": ({"class_weight": {0.5: 1.0}}, ValueError, r"0\.\.2, got 0\.5"),
    "class float": (
        {"class_weight": {1.0: 2.0}},
        ValueError,
        r"class_weight: .*got 1\.0",
    ),
    "class word": (
        {"class_weight": "balance"},
        ValueError,
        r"'balanced', got 'balance'",
    ),
    "class list": ({"class_weight": [1, 1, 1]}, TypeError, r"\{label: .*got list"),
}


@pytest.mark.parametrize("bad", FIT)
def test_arguments_of_fit_are_checked_before_training(bad):
    options, error, message = FIT[bad]
    t = trainer()
    t.build(FEATURES)
    before = t.snapshot()
    fails(
        lambda: t.fit(X, Y, **{"epochs": 2, "batch_size": 5, **options}), error, message
    )
    assert same(t.snapshot(), before)
    assert t.steps_done == 0


def test_class_weights_need_labels():
    for loss, y in (("huber", VALUES), ("softmax_cross_entropy", np.eye(3)[Y])):
        fails(
            lambda loss=loss, y=y: trainer(loss=loss).fit(X, y, 1, 5, class_weight={}),
            ValueError,
            r"class_weight: expected y to hold class labels; use sample_weight",
        )


def test_batch_sizes_of_predictions_are_checked():
    t = trainer()
    for bad in (0, -1, 2.5, "5"):
        for call in (
            lambda bad=bad: t.predict(X, bad),
            lambda bad=bad: t.evaluate(X, Y, batch_size=bad),
        ):
            fails(call, ValueError, rf"batch_size: .*>= 1\b.*got {bad!r}")


def sequential(*layers):
    return xn.Sequential([*layers])


DENSE = {"model": lambda: sequential(xn.Dense(3)), "loss": "softmax_cross_entropy"}
TRAINER = {
    "loss": ({"loss": "sofmax_cross_entropy"}, ValueError, r"loss .*mean 'softmax_cro"),
    "a class": ({"loss": xn.Huber}, TypeError, r"loss: expected a name, got type"),
    "optimizer": (
        {"optimizer": "adm"},
        ValueError,
        r"optimizer 'adm'; did you .*'adam'",
    ),
    "rule class": ({"optimizer": xn.Adam}, TypeError, r"optimizer: expected a name"),
    "device": ({"device": "cudo"}, ValueError, r"device 'cudo'; did you mean 'cuda'"),
    "no device": ({"device": 0}, TypeError, r"device: expected 'cpu', .*got 0"),
    "metric": ({"metrics": "acuracy"}, ValueError, r"metric 'acuracy'.*'accuracy'"),
    "metrics": ({"metrics": 5}, TypeError, r"metric.*got"),
    "float16": ({"dtype": "float16"}, ValueError, r"dtype: .*float64, got 'float16'"),
    "int": ({"dtype": int}, ValueError, r"dtype: expected float32 or float64, got"),
    "flot32": ({"dtype": "flot32"}, ValueError, r"dtype: .*float64, got 'flot32'"),
    "seed": ({"seed": -1}, ValueError, r"seed: .*>= 0\b.*got -1"),
    "half a seed": ({"seed": 0.5}, ValueError, r"seed: .*whole number.*got 0\.5"),
    "layers": (
        {"model": lambda: [xn.Dense(3)]},
        TypeError,
        r"model: .*Sequential, got",
    ),
    "softmax": (
        {"model": lambda: sequential(xn.Dense(3, activation="softmax"))},
        ValueError,
        r"last layer: SoftmaxCrossEntropy expects logits .*got activation='softmax'",
    ),
    "softmax layer": (
        {"model": lambda: sequential(xn.Dense(3), xn.Activation("softmax"))},
        ValueError,
        r"expects logits and applies softmax itself.*; leave it out",
    ),
    "sigmoid": (
        {
            "model": lambda: sequential(xn.Dense(1, activation="sigmoid")),
            "loss": "binary_cross_entropy",
        },
        ValueError,
        r"BinaryCrossEntropy expects logits and applies sigmoid itself",
    ),
}


@pytest.mark.parametrize("bad", TRAINER)
def test_arguments_of_the_trainer_are_checked(bad):
    options, error, message = TRAINER[bad]
    arguments = {"device": "cpu", **DENSE, **options}
    model = arguments.pop("model")()
    fails(lambda: xn.Trainer(model, **arguments), error, message)


def test_misspelt_names_in_layers_are_told_the_nearest():
    fails(
        lambda: xn.Dense(3, activation="rleu"),
        ValueError,
        r"activation 'rleu'; did you mean 'relu'",
    )
    fails(
        lambda: xn.Dense(3, initializer="he_norml"),
        ValueError,
        r"initializer 'he_norml'; did you mean 'he_normal'",
    )


def test_one_sample_is_enough_for_dense_layers():
    t = trainer()
    t.fit(X[:1], Y[:1], 2, None)
    t.fit(X[:1], Y[:1], 2, 1)
    t.step(X[:1], Y[:1])
    assert t.steps_done == 5
    assert t.predict(X[:1]).shape == (1, OUTPUTS)
    assert t.evaluate(X[:1], Y[:1])["loss"] == pytest.approx(
        -np.log(t.predict(X[:1])[0, Y[0]]), rel=1e-5
    )


def test_one_sample_is_too_few_for_batch_norm_and_told_before_training():
    hint = r"layer 1 \(BatchNorm\): expected at least 2 samples a batch, got 1; choose"
    ways = [
        lambda t: t.fit(X[:1], Y[:1], 1, None),
        lambda t: t.fit(X, Y, 1, 1),
        lambda t: t.fit(X, Y, 1, 11),  # 23 = 2 · 11 + 1
        lambda t: t.step(X[:1], Y[:1]),
    ]
    for way in ways:
        t = trainer("batch norm")
        t.build(FEATURES)
        before = t.snapshot()
        fails(lambda t=t, way=way: way(t), ValueError, hint)
        assert same(t.snapshot(), before)
        assert t.steps_done == 0
        t.fit(X, Y, 1, 5, validation=(X[:1], Y[:1]))
        assert t.predict(X[:1]).shape == (1, OUTPUTS)


def test_a_model_without_weights_says_how_to_get_some(tmp_path):
    t = trainer()
    for call in (t.parameters, t.gradients, t.snapshot, lambda: t.save(tmp_path)):
        fails(call, ValueError, r": the model has no weights yet; call trainer.build")
    assert list(tmp_path.iterdir()) == []


def test_a_built_model_takes_no_other_width():
    t = trainer()
    t.fit(X, Y, 1, 5)
    fails(lambda: t.build(4), ValueError, r"built for .*\(5,\), got \(4,\); make a new")
    fails(
        lambda: xn.Trainer(t.model, "huber", device="cpu").fit(X[:, :4], VALUES),
        ValueError,
        r"x: expected shape \(samples, 5\).*got \(23, 4\)",
    )


def test_outputs_of_several_axes_are_told_to_be_flattened():
    t = xn.Trainer(sequential(xn.Activation("relu")), "huber", device="cpu")
    images = np.zeros((4, 3, 2))
    fails(
        lambda: t.fit(images, np.zeros(4), 1, 2), ValueError, r"one axis.*Flatten\(\)"
    )


def test_labels_need_an_output_a_class():
    fails(
        lambda: trainer(outputs=1).fit(X, Y, 1, 5),
        ValueError,
        r"the last layer: .*at least 2, got 1; .*loss='binary_cross_entropy'",
    )


def test_a_refused_fit_leaves_the_width_open():
    t = trainer()
    fails(lambda: t.fit(X, Y + 7, 1, 5), ValueError, LABELS)
    t.fit(X[:, :3], Y, 1, 5)
    assert t.model.sample_shape == (3,)
