"""Max-norm, gradient noise and averages: their formulas, the same in every mode."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import OUTPUTS, data, rng
from tests.training.examples import weights
from tests.ways import everything, same


def model(max_norm=None):
    return xn.Sequential(
        [
            xn.GaussianNoise(0.1),
            xn.Dense(8, activation="tanh", max_norm=max_norm),
            xn.BatchNorm(),
            xn.Dense(OUTPUTS, bias=False, max_norm=max_norm),
        ]
    )


# name -> (max_norm, options of the rule, average).
REMEDIES = {
    "max norm": (0.9, {}, None),
    "gradient noise": (None, {"gradient_noise": 0.3}, None),
    "noise after clipping": (None, {"gradient_noise": 0.1, "clip_norm": 0.01}, None),
    "moving average": (None, {}, xn.WeightAverage(0.8)),
    "tail average": (None, {}, xn.WeightAverage(1.0, start=4)),
    "elastic net": (None, {"l1": 0.02, "l2": 0.05}, None),
    "all": (
        0.9,
        {"gradient_noise": 0.1, "noise_decay": 1.0, "l1": 0.01, "l2": 0.01},
        xn.WeightAverage(0.7, start=2),
    ),
}
RULES = {"sgd": lambda **o: xn.SGD(0.1, momentum=0.9, **o), "adam": xn.Adam}
remedies = pytest.mark.parametrize("remedy", REMEDIES)


def trainer(remedy, rule="sgd", **options):
    max_norm, common, average = REMEDIES[remedy]
    options = {"device": "cpu", "dtype": "float64", "seed": 3, **options}
    return xn.Trainer(
        model(max_norm),
        "softmax_cross_entropy",
        RULES[rule](**common),
        average=average,
        **options,
    )


def host(t, array):
    return np.array(t.backend.to_numpy(array))


@remedies
def test_a_remedy_changes_the_training(remedy):
    """Of the weights that are used: an average leaves the weights themselves."""
    x, y = data()
    plain = xn.Trainer(
        model(), "softmax_cross_entropy", RULES["sgd"](), "cpu", "float64", 3
    )
    t = trainer(remedy)
    for each in (plain, t):
        each.fit(x, y, 3, 6)
    assert abs(plain.predict(x) - t.predict(x)).max() > 1e-4
    assert (REMEDIES[remedy][2] is not None) == (
        not same(t.snapshot()[:1], t.snapshot()[2:3]) and len(t.rule.averages) == 2
    )


def norms(t, layer):
    return np.linalg.norm(t.parameters()[f"{layer}.W"], axis=0)


def test_max_norm_limits_each_units_incoming_weights_and_nothing_else():
    x, y = data()
    t, free = trainer("max norm"), trainer("moving average")
    for each in (t, free):
        each.fit(x, y, 9, 6)
    for layer in (1, 3):
        assert norms(t, layer).max() <= 0.9 * (1 + 1e-12)
        assert norms(free, layer).max() > 1.0
    # Rows, what leaves an input, and biases are free.
    assert np.linalg.norm(t.parameters()["1.W"], axis=1).max() > 0.9


def test_max_norm_shrinks_to_the_limit_and_leaves_what_is_within():
    net = xn.Sequential([xn.Dense(3, max_norm=2.0)])
    t = xn.Trainer(net, "mean_squared_error", xn.SGD(1.0), "cpu", "float64")
    t.build(2)
    start = np.array([[3.0, 0.6, 0.0], [4.0, 0.8, 0.0]])
    t.parameters()["0.W"][...] = start
    t.step(np.zeros((4, 2)), np.full((4, 3), 9.0))  # only the bias has a gradient
    wanted = [[1.2, 0.6, 0.0], [1.6, 0.8, 0.0]]
    np.testing.assert_allclose(t.parameters()["0.W"], wanted, rtol=1e-15)
    assert (t.parameters()["0.b"] > 3.0).all()


def noise_of(steps, noise=0.3, decay=0.55, members=1, **common):
    """What plain descent at rate 1 adds to parameters whose gradient is 0."""
    t = xn.Trainer(
        xn.Sequential([xn.Dense(200)]),
        "mean_squared_error",
        xn.SGD(1.0, gradient_noise=noise, noise_decay=decay, **common),
        "cpu",
        "float64",
    )
    t.build(100)
    found = []
    for _ in range(steps):
        before = {k: v.copy() for k, v in t.parameters().items()}
        x = np.zeros((2, 100))
        t.step(x, np.broadcast_to(before["0.b"], (2, 200)).copy())
        change = [v - before[k] for k, v in t.parameters().items()]
        found.append(np.concatenate([c.ravel() for c in change]))
    return found


@pytest.mark.parametrize(("noise", "decay"), [(0.3, 0.55), (1.0, 0.0), (0.01, 2.0)])
def test_gradient_noise_is_normal_with_the_variance_of_its_step(noise, decay):
    for t, change in enumerate(noise_of(4, noise, decay)):
        wanted = np.sqrt(noise / (1.0 + t) ** decay)
        assert change.std() == pytest.approx(wanted, rel=0.03)
        assert abs(change.mean()) < 0.03 * wanted
        assert abs(change).max() > 3.0 * wanted
        kurtosis = (change**4).mean() / change.var() ** 2
        assert kurtosis == pytest.approx(3.0, abs=0.2)


def test_gradient_noise_is_new_in_each_step_and_not_clipped():
    first, second = noise_of(2, noise=1.0, decay=0.0, clip_norm=1e-6, clip_value=1e-6)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert first.std() == pytest.approx(1.0, rel=0.03)


def weights_after_each_step(remedy, steps):
    x, y = data()
    t = trainer(remedy)
    found = []
    for i in range(steps):
        t.step(np.roll(x, i, axis=0), np.roll(y, i, axis=0))
        found.append([host(t, a) for a in t.snapshot()])
    return t, found


@pytest.mark.parametrize(
    "average",
    [
        xn.WeightAverage(0.8),
        xn.WeightAverage(0.9, start=3),
        xn.WeightAverage(1.0, start=4),
        xn.WeightAverage(1.0),
        xn.WeightAverage(0.0),
    ],
    ids=repr,
)
def test_averages_are_their_formula(average, monkeypatch):
    monkeypatch.setitem(REMEDIES, "this", (None, {}, average))
    _, found = weights_after_each_step("this", 12)
    for values, mean in ((0, 2), (1, 3)):  # parameters, running statistics
        path = [step[values] for step in found]
        expected = path[0]
        for i, theta in enumerate(path):
            k = i + 1 - average.start
            if average.decay == 1.0 and k > 0:
                expected = np.mean(path[average.start : i + 1], axis=0)
            elif k <= 1:
                expected = theta
            elif k <= 1.0 / (1.0 - average.decay):
                expected = np.mean(path[average.start : i + 1], axis=0)
            else:
                kept = average.decay
                expected = kept * expected + (1.0 - kept) * theta
            np.testing.assert_allclose(found[i][mean], expected, rtol=1e-12, atol=1e-14)


def test_predictions_use_the_averages_and_training_goes_on_from_the_weights():
    x, y = data()
    t, plain = trainer("moving average"), trainer("moving average")
    plain.build(x.shape[1:])
    plain.average = None  # predicts with the weights; the rule averages on
    for each in (t, plain):
        each.fit(x, y, 3, 6)
    assert same(everything(t), everything(plain))
    assert not same([t.predict(x)], [plain.predict(x)])
    raw = weights(t)
    with t.averaged():
        inside = weights(t)
        assert same(inside[:2], raw[2:])
        with t.averaged():
            assert same(weights(t), inside)
        predicted = t.predict(x)
        with pytest.raises(ValueError, match="averaged: leave the block first"):
            t.step(x, y)
    assert same([predicted], [t.predict(x)])
    assert same(weights(t), raw)
    scores = t.evaluate(x, y)
    t.restore((*raw[2:], *raw[2:]))
    assert scores == t.evaluate(x, y)


def test_early_stopping_brings_back_the_averages_of_the_best_epoch():
    x, y = data()
    y = np.where(rng(1).random(len(y)) < 0.4, (y + 1) % OUTPUTS, y)
    t = trainer("moving average")
    early = xn.EarlyStopping(patience=1000)
    half = len(x) // 2
    held = (x[half:], y[half:])
    history = t.fit(x[:half], y[:half], 90, 4, validation=held, callbacks=early)
    assert history.best_epoch < 90
    assert t.evaluate(*held)["loss"] == pytest.approx(min(history["val_loss"]))


def test_before_the_first_update_a_prediction_is_of_the_weights():
    x, _ = data()
    t, plain = trainer("moving average"), trainer("max norm")
    for each in (t, plain):
        each.build(x.shape[1:])
        each.parameters()["1.W"][...] = 0.1
    assert same([t.predict(x)], [plain.predict(x)])


def test_the_averages_are_quieter_than_the_weights_in_the_noise_of_descent():
    """Polyak: around the optimum the mean of the path is nearer to it."""
    draw = rng(2)
    x = draw.standard_normal((400, 4))
    y = x @ draw.standard_normal((4, 1)) + draw.standard_normal((400, 1))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    net = xn.Sequential([xn.Dense(1, bias=False)])
    rule, average = xn.SGD(0.05), xn.WeightAverage(1.0, start=400)
    t = xn.Trainer(net, "mean_squared_error", rule, "cpu", "float64", average=average)
    t.fit(x, y, 10, 4)
    last = np.linalg.norm(t.parameters()["0.W"] - best)
    with t.averaged():
        mean = np.linalg.norm(t.parameters()["0.W"] - best)
    assert mean < last / 3


def test_the_elastic_net_ends_where_its_closed_form_is():
    """With xᵀx = n I each weight is shrunk by l1, then divided (Zou and Hastie)."""
    x = np.sqrt(8.0) * np.linalg.qr(rng(4).standard_normal((8, 4)))[0]
    least_squares = np.array([[1.5], [-0.7], [0.1], [-0.05]])
    l1, l2 = 0.2, 0.5
    net = xn.Sequential([xn.Dense(1, bias=False)])
    rule = xn.SGD(xn.ExponentialDecay(0.1, 100), l1=l1, l2=l2)
    t = xn.Trainer(net, "mean_squared_error", rule, "cpu", "float64")
    t.fit(x, x @ least_squares, 2000, None)
    # The loss is (w - v)² for each weight: its half-slope meets l1/2 and l2/2.
    shrunk = np.maximum(abs(least_squares) - l1 / 2, 0.0) / (1 + l2 / 2)
    wanted = np.sign(least_squares) * shrunk
    np.testing.assert_allclose(t.parameters()["0.W"], wanted, atol=2e-3)
    assert (wanted[2:] == 0.0).all()


@pytest.mark.parametrize(
    ("layer", "average", "message"),
    [
        (
            xn.Dense(2, max_norm=0.1),
            None,
            r"layer 0 \(Dense\) keeps its weights within",
        ),
        (xn.Dense(2), xn.WeightAverage(), r"the trainer averages the weights"),
    ],
)
def test_minimize_refuses_what_only_an_update_does(layer, average, message):
    x, y = data("values")
    net = xn.Sequential([layer, xn.Dense(OUTPUTS)])
    t = xn.Trainer(net, "mean_squared_error", device="cpu", average=average)
    with pytest.raises(ValueError, match=rf"minimize: {message}"):
        xn.minimize(t, x, y, "lbfgs", steps=3)


BAD = [
    (lambda: xn.Dense(2, max_norm=0.0), ValueError, r"Dense: expected max_norm > 0"),
    (lambda: xn.Dense(2, max_norm="3"), TypeError, r"max_norm .*a number, got '3'"),
    (lambda: xn.SGD(gradient_noise=-1), ValueError, r"SGD: expected gradient_noise >="),
    (lambda: xn.Adam(noise_decay=-1), ValueError, r"Adam: expected noise_decay >= 0"),
    (lambda: xn.WeightAverage(1.1), ValueError, r"expected 0 <= decay <= 1, got 1\.1"),
    (lambda: xn.WeightAverage(start=-1), ValueError, r"expected start >= 0"),
    (
        lambda: xn.Trainer(model(), "softmax_cross_entropy", average=0.99),
        TypeError,
        r"average: expected a WeightAverage or None, got 0\.99; such as",
    ),
]


@pytest.mark.parametrize(("make", "kind", "message"), BAD)
def test_bad_settings_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
