"""The doctor finds planted illnesses, leaves healthy runs alone, changes nothing."""

import inspect
import json
import re

import numpy as np
import pytest

import xpnet as xn
from tests.cases import RULES, data, in_turns
from tests.standin import standin_backend
from tests.training.examples import trainer as small
from tests.ways import curves, everything, same
from xpnet.diagnosis import rate_rules, rules
from xpnet.diagnosis.report import Diagnosis
from xpnet.diagnosis.rules import Findings
from xpnet.diagnosis.thresholds import THRESHOLDS

CE, MSE = "softmax_cross_entropy", "mean_squared_error"
SEEDS = (3, 4, 5)


def digits(scale=1 / 16):
    x, y = xn.datasets.digits()
    return x[:600] * scale, y[:600]


def curve(scale=1.0, shift=0.0, y_scale=1.0, noise=0.1, samples=300):
    """y = sin(x₀) + x₁ x₂, with features and targets of other sizes."""
    draw = np.random.default_rng(1)
    x = draw.standard_normal((samples, 6))
    y = np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    y = y + noise * draw.standard_normal((samples, 1))
    return x * scale + shift, y * y_scale


def labels_at_random():
    x, y = digits()
    draw = np.random.default_rng(2)
    return x, np.where(draw.random(600) < 0.3, draw.integers(0, 10, 600), y)


def wide_spirals():
    """In their own size, within 1, they are not learnt in so many epochs."""
    x, y = xn.datasets.spirals(300)
    return 3.0 * x, y


def rare(column):
    """2% yes, which the features tell nothing of."""
    x, y = np.random.default_rng(1).standard_normal((600, 4)), np.arange(600) % 50 == 0
    return x, y[:, None].astype(float) if column else y.astype(int)


def chance(kind):
    """Targets that the features tell nothing of."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((400, 20))
    return x, draw.standard_normal((400, 1)) if kind == "numbers" else draw.integers(
        0, 2, 400
    )


def dense(hidden, width, activation, outputs, initializer=None):
    layers = [xn.Dense(width, activation, True, initializer) for _ in range(hidden)]
    return [*layers, xn.Dense(outputs)]


def of_size(std):
    return lambda rng, shape: std * rng.standard_normal(shape)


def negative(rng, shape):
    return -abs(rng.standard_normal(shape))


def normed(layers, width):
    one = (lambda: xn.Dense(width), xn.BatchNorm, lambda: xn.Activation("relu"))
    return [part() for _ in range(layers) for part in one]


def dropped():
    hidden = (xn.Dense(256, "relu"), xn.Dropout(0.3), xn.Dense(128, "relu"))
    return [*hidden, xn.Dropout(0.3), xn.Dense(10)]


# data, layers, loss, rule, epochs, batch size.
HEALTHY = {
    "relu, adam": (digits, lambda: dense(2, 64, "relu", 10), CE, xn.Adam(1e-3), 15, 32),
    "for long": (digits, lambda: dense(2, 64, "relu", 10), CE, xn.Adam(2e-3), 60, 32),
    "tanh, momentum": (
        digits, lambda: dense(2, 64, "tanh", 10), CE, xn.SGD(0.1, momentum=0.9), 15, 32,
    ),
    "two sigmoid layers": (
        digits, lambda: dense(2, 64, "sigmoid", 10), CE, xn.Adam(3e-3), 15, 32,
    ),
    "six relu layers": (
        digits, lambda: dense(6, 48, "relu", 10), CE, xn.Adam(1e-3), 20, 32,
    ),
    "six normed layers": (
        digits, lambda: [*normed(6, 32), xn.Dense(10)], CE, xn.Adam(1e-3), 15, 32,
    ),
    "dropout, cosine": (digits, dropped, CE, xn.Adam(xn.Cosine(2e-3, 280)), 20, 32),
    "no hidden layer": (digits, lambda: [xn.Dense(10)], CE, xn.SGD(0.1), 20, 32),
    "gelu, adamw": (digits, lambda: dense(2, 64, "gelu", 10), CE, xn.AdamW(), 15, 32),
    "elu, huber": (
        curve, lambda: dense(2, 32, "elu", 1), "huber", xn.Adam(3e-3), 40, 32,
    ),
    "moons": (
        xn.datasets.moons, lambda: dense(2, 16, "tanh", 2), CE, xn.Adam(0.01), 60, 32,
    ),
    "circles": (
        xn.datasets.circles, lambda: dense(2, 16, "relu", 2), CE, xn.Adam(0.01), 60, 32,
    ),
    "spirals that tanh learns by saturating": (
        wide_spirals, lambda: dense(2, 32, "tanh", 2), CE,
        xn.Adam(0.01), 200, 32,
    ),
    "regression, full batch": (
        curve, lambda: dense(2, 32, "silu", 1), MSE, xn.Adam(3e-3), 60, None,
    ),
    "four samples": (
        xn.datasets.xor, lambda: dense(1, 8, "tanh", 2), CE, xn.Adam(0.05), 300, None,
    ),
    "seven samples": (
        xn.datasets.line, lambda: [xn.Dense(1)], MSE, xn.SGD(0.01), 300, None,
    ),
}  # fmt: skip

# The illness, then as above.
PLANTED = {
    "eight sigmoid layers": (
        "vanishing δ", digits, lambda: dense(8, 48, "sigmoid", 10), CE,
        xn.SGD(0.1), 10, 32,
    ),
    "ten tanh layers of small weights": (
        "vanishing δ", digits, lambda: dense(10, 32, "tanh", 10, "normal"), CE,
        xn.SGD(0.05), 10, 32,
    ),
    "relu layers of large weights": (
        "exploding δ", digits, lambda: dense(6, 48, "relu", 10, of_size(1.0)), CE,
        xn.SGD(1e-7), 6, 32,
    ),
    "linear layers of large weights": (
        "exploding δ", digits, lambda: dense(8, 64, "identity", 10, of_size(0.5)), CE,
        xn.SGD(1e-6), 6, 32,
    ),
    "negative weights": (
        "dead units", digits,
        lambda: dense(2, 48, "relu", 10, negative), CE, xn.Adam(1e-4), 10, 32,
    ),
    "a rate that kills": (
        "dead units", digits, lambda: dense(2, 48, "relu", 10), CE, xn.SGD(1.5), 10, 32,
    ),
    "sigmoids of large weights": (
        "saturated units", digits, lambda: dense(2, 48, "sigmoid", 10, of_size(2.0)),
        CE, xn.Adam(1e-3), 10, 32,
    ),
    "tanh of large weights": (
        "saturated units", digits, lambda: dense(2, 48, "tanh", 10, of_size(2.0)), CE,
        xn.SGD(0.05), 10, 32,
    ),
    "adam at 0.3": (
        "rate too high", digits, lambda: dense(2, 48, "relu", 10), CE,
        xn.Adam(0.3), 10, 32,
    ),
    "descent that goes up": (
        "rate too high", digits, lambda: dense(2, 48, "tanh", 10), CE,
        xn.SGD(20.0), 10, 32,
    ),
    "descent that diverges": (
        "rate too high", curve, lambda: dense(1, 32, "relu", 1), MSE,
        xn.SGD(5.0), 10, 32,
    ),
    "descent that crawls": (
        "rate too low", digits, lambda: dense(2, 48, "relu", 10), CE,
        xn.SGD(1e-4), 10, 32,
    ),
    "adam that crawls": (
        "rate too low", digits, lambda: dense(2, 48, "tanh", 10), CE,
        xn.Adam(1e-6), 10, 32,
    ),
    "labels at random": (
        "overfitting", labels_at_random, lambda: dense(2, 128, "relu", 10), CE,
        xn.Adam(2e-3), 60, 32,
    ),
    "few samples": (
        "overfitting", lambda: curve(samples=90, noise=1.5),
        lambda: dense(2, 64, "tanh", 1), MSE, xn.Adam(5e-3), 150, None,
    ),
    "bytes": (
        "unscaled inputs", lambda: digits(16.0), lambda: dense(2, 48, "relu", 10), CE,
        xn.Adam(1e-3), 10, 32,
    ),
    "features of all sizes": (
        "unscaled inputs", lambda: curve(np.logspace(-4, 0, 6)),
        lambda: dense(2, 32, "relu", 1), MSE, xn.Adam(1e-3), 10, 32,
    ),
    "features far from 0": (
        "unscaled inputs", lambda: curve(0.05, shift=2.0),
        lambda: dense(2, 32, "relu", 1), MSE, xn.Adam(1e-3), 10, 32,
    ),
    "prices": (
        "unscaled targets", lambda: curve(y_scale=1e4), lambda: dense(2, 32, "relu", 1),
        MSE, xn.Adam(1e-3), 10, 32,
    ),
    "six sigmoid layers": (
        "vanishing δ", digits, lambda: dense(6, 64, "sigmoid", 10), CE,
        xn.Adam(1e-3), 5, 32,
    ),
    "four sigmoid layers": (
        "vanishing δ", digits, lambda: dense(4, 32, "sigmoid", 10), CE,
        xn.SGD(0.05), 5, 32,
    ),
    "circles in five epochs": (
        "guessing", xn.datasets.circles, lambda: dense(2, 16, "tanh", 2), CE,
        xn.Adam(1e-3), 5, 32,
    ),
    "numbers in five epochs": (
        "guessing", lambda: chance("numbers"), lambda: dense(1, 8, "tanh", 1), MSE,
        xn.Adam(1e-3), 5, 32,
    ),
    "a rare class": (
        "one answer for all", lambda: rare(False), lambda: dense(1, 8, "tanh", 2), CE,
        xn.Adam(3e-3), 15, 32,
    ),
    "a rare yes": (
        "one answer for all", lambda: rare(True), lambda: dense(1, 8, "tanh", 1),
        "binary_cross_entropy", xn.Adam(3e-3), 15, 32,
    ),
    "labels of chance": (
        "learnt by heart", lambda: chance("labels"), lambda: dense(1, 256, "relu", 2),
        CE, xn.Adam(5e-3), 5, 8,
    ),
    "numbers of chance": (
        "learnt by heart", lambda: chance("numbers"), lambda: dense(1, 256, "relu", 1),
        MSE, xn.Adam(2e-3), 5, 8,
    ),
}  # fmt: skip


LEARNT = ("spirals that tanh learns by saturating", "circles", "elu, huber")
BELOW = (  # the signs that are numbers below their limit
    *("small δ below", "smaller δ below", "small steps"),
    *("small gain", "one answer", "gain of training alone"),
)


def diagnosed(row, seed):
    """The diagnosis of a training as the row says, with a third held out."""
    load, layers, loss, rule, epochs, size = row
    x, y = load()
    held = None
    if len(x) > 20:
        (x, y), held = xn.split(x, y, (0.7, 0.3), seed=seed)
    size = size and min(size, len(x))
    t = xn.Trainer(xn.Sequential(layers()), loss, rule, "cpu", seed=seed)
    try:
        t.fit(x, y, epochs, size, held, verbose=False, diagnose=True)
    except xn.DivergenceError:
        assert t.history.diagnosis.diverged
    return t.history.diagnosis


@pytest.mark.parametrize(("run", "seed"), in_turns(HEALTHY, SEEDS))
def test_a_healthy_run_is_left_alone(run, seed):
    found = diagnosed(HEALTHY[run], seed)
    assert found.findings == []
    assert found.healthy
    assert str(found).endswith("nothing found: the training looks healthy")
    if run in LEARNT:  # far more than a guess, else it would not be healthy
        assert found.score.gain > max(0.7, 2.0 * found.score.uncertain)
        assert found.held.gain > 0.5


@pytest.mark.parametrize(("run", "seed"), in_turns(PLANTED, SEEDS))
def test_a_planted_illness_is_found(run, seed):
    illness, *row = PLANTED[run]
    found = diagnosed(row, seed)
    illnesses = [f.illness for f in found.findings]
    assert illness in illnesses
    finding = found.findings[illnesses.index(illness)]
    limit = THRESHOLDS[finding.sign]
    assert (limit.illness, limit.value) == (illness, finding.limit)
    below = finding.sign in BELOW
    assert finding.value < limit.value if below else finding.value >= limit.value
    assert finding.text in str(found)
    assert f"try {finding.remedy}" in str(found)
    if finding.layer is not None and finding.illness != "rate too low":
        assert found.names[finding.layer] in finding.text
    for finding in found.findings:
        run_advice(finding.remedy, row)


CODE = re.compile("`([^`]+)`")


def run_advice(remedy, row):
    """Run the code in it as it stands, on the data that it is given for."""
    load, layers, loss, *_ = row
    x, y = load()
    trainer = xn.Trainer(xn.Sequential(layers()), loss, "adam", "cpu")
    names = {name: getattr(xn, name) for name in xn.__all__}
    names |= {"np": np, "x": x[:60], "y": y[:60], "trainer": trainer}
    for code in CODE.findall(remedy):
        made = eval(code, names)
        if isinstance(made, xn.Layer):
            model = xn.Sequential([made, xn.Dense(3)])
            xn.Trainer(model, CE, "sgd", "cpu").step(x[:8], np.zeros(8, int))
        elif isinstance(made, np.ndarray):
            assert abs(made.std(axis=0)).max() == pytest.approx(1.0)
        elif not isinstance(made, xn.History):
            rule = made if isinstance(made, xn.Optimizer) else "sgd"
            rule = xn.SGD(made) if isinstance(made, xn.Cosine) else rule
            hooks = [made] if isinstance(made, xn.Callback) else []
            other = xn.Trainer(xn.Sequential([xn.Dense(3)]), CE, rule, "cpu")
            held = (x[:8], np.zeros(8, int))
            other.fit(*held, 2, validation=held, callbacks=hooks, verbose=False)


def test_no_advice_is_code_that_is_not_run():
    """What looks like code stands in backticks."""
    source = inspect.getsource(rules) + inspect.getsource(rate_rules)
    for call in re.findall(r"(?<![\w.])(?:xn\.)?[A-Z]\w+\([^)]*\)", source):
        if call.split("(")[0] in xn.__all__:
            assert f"`{call}" in source, call


def test_every_illness_is_planted_and_every_limit_has_its_reason_and_source():
    planted = {row[0] for row in PLANTED.values()}
    assert planted == {limit.illness for limit in THRESHOLDS.values()}
    for limit in THRESHOLDS.values():
        assert len(limit.reason) > 40
        assert len(limit.source) > 10


def test_the_layer_that_is_ill_is_named():
    layers = dense(3, 48, "relu", 10)
    layers[1].initializer = negative
    row = (digits, lambda: layers, CE, xn.Adam(1e-4), 5, 32)
    found = [f for f in diagnosed(row, 0).findings if f.illness == "dead units"]
    assert [f.layer for f in found] == [1, 2]  # what sees only zeros is dead too
    assert "100% of the units of layer 1 (Dense, relu) are dead" in found[0].text


@pytest.mark.parametrize(
    ("end", "from_the_start", "ill"),
    [(0.01, False, False), (0.9, False, True), (0.01, True, True)],
)
def test_units_that_end_flat_are_ill_unless_that_is_what_was_learnt(
    end, from_the_start, ill
):
    found = Diagnosis(["layer 0 (Dense, tanh)", "layer 1 (Dense)"], 100)
    for i, loss in enumerate(np.linspace(1.0, end, 10)):
        share = 0.9 if from_the_start or i > 4 else 0.0
        look = {name: [1.0, 1.0] for name in ("z", "a", "delta", "gradient")}
        idle = {"dead": [np.nan] * 2, "saturated": [share, np.nan]}
        found.add(i, loss, {**look, "update": [1e-3, 1e-3], **idle})
    illnesses = [finding.illness for finding in Findings(found).all()]
    assert illnesses == ["saturated units"] * ill


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_score_is_that_of_the_weighted_samples(dtype):
    x, y = rare(False)
    w = np.where(y == 1, 49.0, 1.0)  # both classes weigh the same
    model = xn.Sequential([xn.Dense(2)])
    t = xn.Trainer(model, CE, "adam", "cpu", dtype)
    t.fit(x, y, 2, sample_weight=w, verbose=False, diagnose=True)
    found, right = t.history.diagnosis.score, t.predict_classes(x) == y
    assert found.constant == pytest.approx(0.5)
    assert found.own == pytest.approx(np.average(right, weights=w))
    ahead = right - 1.0 * (y == found.answer) - (found.own - found.constant)
    assert found.error == pytest.approx(np.sqrt(((w * ahead) ** 2).sum()) / w.sum())


# What is measured.


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def test_the_measurements_are_those_of_the_equations():
    """A full batch and all samples looked at: everything can be had by hand."""
    x, y = data()
    model = xn.Sequential([xn.Dense(7, "tanh"), xn.Dense(6, "relu"), xn.Dense(3)])
    t = xn.Trainer(model, CE, xn.SGD(0.5), "cpu", "float64", seed=1)
    t.build(x.shape[1:])
    p = {name: values.copy() for name, values in t.parameters().items()}
    t.fit(x, y, 2, None, diagnose=True)
    z0 = x @ p["0.W"] + p["0.b"]
    z1 = np.tanh(z0) @ p["1.W"] + p["1.b"]
    a1 = np.maximum(z1, 0.0)
    z2 = a1 @ p["2.W"] + p["2.b"]
    e = np.exp(z2 - z2.max(axis=1, keepdims=True))
    delta2 = e / e.sum(axis=1, keepdims=True) - np.eye(3)[y]
    delta1 = (z1 > 0.0) * (delta2 @ p["2.W"].T)
    delta0 = (1.0 - np.tanh(z0) ** 2) * (delta1 @ p["1.W"].T)
    inputs = (x, np.tanh(z0), a1)
    grads = [
        a.T @ d / len(x) for a, d in zip(inputs, (delta0, delta1, delta2), strict=True)
    ]
    wanted = {
        "z": [rms(z0), rms(z1), rms(z2)],
        "a": [rms(np.tanh(z0)), rms(a1), rms(z2)],
        "delta": [rms(delta0), rms(delta1), rms(delta2)],
        "gradient": [rms(g) for g in grads],
        "update": [0.5 * rms(g) / rms(p[f"{i}.W"]) for i, g in enumerate(grads)],
        "dead": [np.nan, (a1 == 0.0).all(axis=0).mean(), np.nan],
        "saturated": [
            ((1.0 - np.tanh(z0) ** 2 < 0.05).mean(axis=0) >= 0.5).mean(), np.nan, np.nan
        ],
    }  # fmt: skip
    found = t.history.diagnosis
    assert found.names[:2] == ["layer 0 (Dense, tanh)", "layer 1 (Dense, relu)"]
    assert (found.samples, found.steps) == (len(x), [0, 1])
    assert set(found.layers) == set(wanted)
    for name, values in found.layers.items():
        np.testing.assert_allclose(values[0], wanted[name], rtol=1e-10, err_msg=name)
    assert found.losses == pytest.approx(t.history["loss"], rel=1e-12)


def test_layers_without_activation_or_weights_have_blanks():
    row = (digits, dropped, CE, xn.Adam(1e-3), 2, 32)
    layers = diagnosed(row, 0).layers
    assert np.isnan(layers["z"]).all(axis=0).tolist() == [False, True] * 2 + [False]
    assert np.isnan(layers["update"][:, [1, 3]]).all()
    for name in ("a", "delta"):
        assert np.isfinite(layers[name]).all()
    assert np.isfinite(layers["update"][:, [0, 2, 4]]).all()


# What it must not do; tests/cases.py has the rest, by calls.


@pytest.mark.parametrize("mode", [{"eager": True}, {"jit": True}], ids=repr)
def test_the_training_is_the_same_with_and_without(mode):
    x, y = data()
    found = []
    for diagnose in (False, True):
        t = small("dropout", optimizer="adam", **mode)
        history = t.fit(x, y, 2, 5, validation=(x, y), diagnose=diagnose)
        t.step(x, y)
        found.append((everything(t), curves(history), t.loss))
        assert (history.diagnosis is None) != diagnose
    assert same(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_on_a_device_it_sees_what_it_sees_on_the_cpu(standin, optimizer):
    x, y = data()
    found = []
    for device in (standin_backend(1), "cpu"):
        t = small("dropout", optimizer=RULES[optimizer](1), device=device,
                  dtype="float64")  # fmt: skip
        t.fit(x, y, 3, 6, diagnose=True)
        found.append(t.history.diagnosis)
    assert found[0].steps == found[1].steps
    for name, values in found[0].layers.items():
        np.testing.assert_allclose(
            values, found[1].layers[name], rtol=1e-9, err_msg=name
        )


def test_weights_in_a_file_are_read_batch_by_batch(tmp_path):
    x, y = digits()
    x.astype(np.float32).tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    found = []
    for samples in (x.astype(np.float32), mapped):
        t = xn.Trainer(xn.Sequential(dense(1, 16, "relu", 10)), CE, device="cpu")
        w = np.linspace(0.5, 1.5, len(y))
        t.fit(samples, y, 2, 32, sample_weight=w, diagnose=True)
        found.append(t.history.diagnosis)
    assert found[0].losses == found[1].losses
    assert found[0].samples == 256


def test_a_training_that_diverges_is_diagnosed_all_the_same():
    _, *row = PLANTED["descent that diverges"]
    x, y = curve()
    t = xn.Trainer(xn.Sequential(row[1]()), MSE, row[3], "cpu")
    with pytest.raises(xn.DivergenceError, match=r"diagnose=True.*xpnet doctor"):
        t.fit(x, y, 10, 32, diagnose=True)
    found = t.history.diagnosis
    assert "the learning rate is too high: training diverged at step" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_it_looks_less_often_in_a_long_training():
    x, y = data()
    looks = []
    for epochs in (20, 1000):
        t = small()
        t.fit(x, y, epochs, None, diagnose=True)
        looks.append(len(t.history.diagnosis.steps))
    assert looks[0] == 20
    assert 100 <= looks[1] <= 160


# How it is told.


def test_the_report_is_printed_where_the_table_is(capsys):
    x, y = data()
    small().fit(x, y, 2, 5, verbose=True, diagnose=True)
    out = capsys.readouterr().out
    assert "diagnosis after 6 looks at 23 samples" in out
    assert "layer 0 (Dense, tanh)" in out
    small().fit(x, y, 2, 5, verbose=False, diagnose=True)
    assert capsys.readouterr().out == ""


def test_everything_can_be_had_as_plain_values():
    _, *row = PLANTED["a rate that kills"]
    found = diagnosed(row, 3)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["healthy"] is False
    assert {f["illness"] for f in record["findings"]} >= {"dead units"}
    assert len(record["looks"]) == len(record["steps"]) == len(found.steps)
    assert record["looks"][0]["dead"][-1] is None


@pytest.mark.slow
def test_the_figure_has_a_line_a_layer(tmp_path):
    pytest.importorskip("matplotlib")
    _, *row = PLANTED["eight sigmoid layers"]
    figure = diagnosed(row, 3).plot(tmp_path / "layers.png")
    delta, update, idle = figure.axes
    assert [len(panel.lines) for panel in (delta, update, idle)] == [9, 9, 8]
    for panel in figure.axes:
        assert panel.get_xlabel() == "step"
        assert panel.get_ylabel()
    assert (tmp_path / "layers.png").stat().st_size > 10_000
