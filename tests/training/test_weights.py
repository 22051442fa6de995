"""Sample weights times a constant change nothing, however large or small they are."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from xpnet.training.metrics import METRICS
from xpnet.training.weights import scaled

SAMPLES = 24
UNITS = [2.0**-1040, 1e-310, 1e-31, 2.0**-40, 3e38, 2.0**900]
draw = np.random.default_rng(0)
X, Y = draw.normal(size=(SAMPLES, 3)), draw.integers(0, 3, SAMPLES)
WEIGHTS = draw.integers(1, 1000, SAMPLES) / 512  # few digits: no unit rounds them
WEIGHTS[5] = 0.0


def network(dtype, seed=0, **options):
    model = xn.Sequential([xn.Dense(5, "tanh"), xn.Dense(3)])
    rule = xn.Adam(0.01)
    how = {"device": "cpu", "dtype": dtype, "seed": seed, **options}
    return xn.Trainer(model, "softmax_cross_entropy", rule, **how)


def numbers(trainers, *scores):
    parts = [p.reshape(-1) for t in trainers for p in t.parameters().values()]
    return np.concatenate([*parts, *[np.ravel(list(s.values())) for s in scores]])


def rows(history):
    return [
        {k: v for k, v in row.items() if k in ("loss", "val_loss", "val_accuracy")}
        for row in history.rows
    ]


def fit(dtype, w):
    trainer = network(dtype)
    held = (X, Y, w)
    history = trainer.fit(X, Y, 3, 7, held, sample_weight=w, verbose=False)
    return numbers([trainer], *rows(history))


def fit_with_class_weights(dtype, w):
    trainer = network(dtype)
    classes = {0: float(w.max()), 1: float(w.max()) / 2, 2: float(w.max())}
    trainer.fit(X, Y, 2, 7, class_weight=classes, sample_weight=w, verbose=False)
    return numbers([trainer])


def step(dtype, w):
    trainer = network(dtype)
    losses = []
    for _ in range(3):
        trainer.step(X, Y, w)
        losses.append({"loss": trainer.loss})
    return numbers([trainer], *losses, trainer.evaluate(X, Y, w))


def stack(dtype, w):
    found = xn.Stack([network(dtype, seed) for seed in range(3)])
    kept = [np.arange(0, 20), np.arange(2, 24), np.arange(24)]
    found.fit(X, Y, 2, 7, rows=kept, sample_weight=w, verbose=False)
    return numbers(found.trainers, *found.evaluate(X, Y, sample_weight=w))


def full_batch(dtype, w):
    trainer = network(dtype)
    history = xn.minimize(trainer, X, Y, "lbfgs", 4, sample_weight=w, verbose=False)
    return numbers([trainer], *rows(history))


def ensemble(dtype, w):
    members = xn.Ensemble([network(dtype, seed) for seed in range(2)])
    for trainer in members.stack.trainers:
        trainer.build(3)
    return numbers([], members.evaluate(X, Y, w))


def measured(dtype, w):
    p, t = X[:, :2].astype(dtype), X[:, 1:].astype(dtype)
    scores = {"r2": METRICS["r2"](p, t, w)}
    scores["accuracy"] = METRICS["accuracy"](X, Y, w)
    return numbers([], scores)


WAYS = {
    "fit": fit,
    "class weights": fit_with_class_weights,
    "step": step,
    "stack": stack,
    "full batch": full_batch,
    "ensemble": ensemble,
    "metrics": measured,
}


@pytest.mark.parametrize(("way", "dtype"), [
    *in_turns(WAYS, ["float32", "float64"]), ("fit", "float64"),
])  # fmt: skip
def test_the_unit_of_the_weights_changes_nothing(way, dtype):
    wanted = WAYS[way](dtype, WEIGHTS)
    assert np.isfinite(wanted).all()
    rounding = 1e-4 if dtype == "float32" else 1e-9
    for unit in UNITS:
        w = WEIGHTS * unit
        found = WAYS[way](dtype, w)
        if np.frexp(unit)[0] == 0.5 and (w / unit == WEIGHTS).all():
            assert np.array_equal(found, wanted), unit
        else:
            np.testing.assert_allclose(found, wanted, rounding, rounding, str(unit))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_weights_of_any_size_are_no_weights(dtype):
    for w in (1e300, 5e-324, 1.7e308):
        weights = np.full(SAMPLES, w)
        plain, weighted = network(dtype), network(dtype)
        plain.fit(X, Y, 2, 7, verbose=False)
        weighted.fit(X, Y, 2, 7, sample_weight=weights, verbose=False)
        assert np.allclose(numbers([plain]), numbers([weighted]), rtol=1e-5)
        scores = weighted.evaluate(X, Y, weights)
        assert scores == pytest.approx(weighted.evaluate(X, Y), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_of_small_weights_is_a_batch_like_any_other(dtype):
    """Each step takes Σ w l / Σ w of its own batch."""
    small, even = network(dtype), network(dtype)
    w = np.where(np.arange(SAMPLES) < 12, 1.0, 1e-33)
    for trainer, weights in ((small, w), (even, None)):
        trainer.fit(X, Y, 2, 12, sample_weight=weights, shuffle=False, verbose=False)
    assert np.allclose(numbers([small]), numbers([even]), rtol=1e-5)


def test_weights_of_an_ordinary_size_stay_as_they_are():
    for w in (WEIGHTS, WEIGHTS.astype(np.float32), np.arange(5), np.zeros(3)):
        assert scaled(w) is w
    for w in (np.full(3, 1e9), np.float16([6e-8, 0]), np.longdouble([1e-300, 2e-300])):
        before = w.copy()
        found = scaled(w)
        assert 0.5 <= found.max() < 1.0
        assert np.array_equal(found * w.max(), w * found.max())
        assert np.array_equal(w, before)


@pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp < 2000, reason="long double is float64 here"
)
def test_weights_that_only_a_long_double_holds():
    w = np.longdouble(2) ** 5000 * WEIGHTS.astype(np.longdouble)
    assert np.array_equal(fit("float32", w), fit("float32", WEIGHTS))
