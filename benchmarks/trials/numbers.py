"""Extreme weights, loss curves beside scikit-learn's, runs that do not learn."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import xpnet as xn
from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.trials.trial import trial

ROUNDING = {"float32": 1e-3, "float64": 1e-9}


def _network(draw: np.random.Generator, dtype: str) -> xn.Trainer:
    layers = [xn.Dense(int(draw.integers(2, 9)), str(draw.choice(["tanh", "silu"])))]
    rule = [xn.SGD(0.05), xn.Adam(0.01), xn.SGD(0.05, clip_norm=0.5)]
    return xn.Trainer(
        xn.Sequential([*layers, xn.Dense(3)]),
        "softmax_cross_entropy",
        rule[int(draw.integers(3))],
        "cpu",
        dtype,
        seed=int(draw.integers(1000)),
        eager=bool(draw.integers(2)),
    )


def _trained(seed: int, w: Array, dtype: str) -> Array:
    """Parameters and losses after training with these weights, by `fit` and `step`."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(len(w), 3)), draw.integers(0, 3, len(w))
    trainer = _network(draw, dtype)
    size = int(draw.integers(1, len(w)))
    history = trainer.fit(x, y, 2, size, (x, y, w), sample_weight=w, verbose=False)
    trainer.step(x, y, w)
    scores = trainer.evaluate(x, y, w)
    parts = [np.ravel(p) for p in trainer.parameters().values()]
    rest = [*history["loss"], *history["val_loss"], trainer.loss, *scores.values()]
    return np.concatenate([*parts, np.asarray(rest)])


@trial("weights", 500, 6, "changed", "refused")
def scale_weights(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Weights in a unit of 10^-300 to 10^300 train as in a unit of 1."""
    for i in range(tries):
        draw = np.random.default_rng(seed + i)
        w = draw.random(int(draw.integers(5, 40))) + 0.01
        dtype = str(draw.choice(["float32", "float64"]))
        unit = 10.0 ** draw.uniform(-300, 300)
        try:
            wanted, found = (_trained(seed + i, u * w, dtype) for u in (1.0, unit))
        except (ArithmeticError, ValueError):
            yield "refused"
            continue
        far = ROUNDING[dtype]
        if not np.allclose(found, wanted, rtol=far, atol=far):
            yield "changed"


@trial("curves", 100, 2, "curves", "epochs")
def follow_curves(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Fits with random weights have scikit-learn's curve and number of epochs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    import xpnet.sklearn as own

    for i in range(tries):
        draw = np.random.default_rng(seed + i)
        n, labels = int(draw.integers(60, 200)), bool(draw.integers(2))
        x = draw.normal(size=(n, 4))
        y = draw.integers(0, 3, n) if labels else np.sin(x[:, 0]) + x[:, 1]
        w = draw.random(n) ** 3 + 1e-3
        options = {
            "hidden_layer_sizes": (int(draw.integers(2, 12)),),
            "solver": str(draw.choice(["sgd", "adam"])),
            "alpha": float(draw.choice([0.0, 1e-4, 0.5])),
            "early_stopping": bool(draw.integers(2)),
            "batch_size": int(draw.integers(8, 33)),
            "learning_rate_init": 0.01,
            "max_iter": 60,
            "tol": 1e-3,
            "n_iter_no_change": 2,
            "shuffle": False,
            "random_state": i,
        }
        kind = "MLPClassifier" if labels else "MLPRegressor"
        theirs = (MLPClassifier if labels else MLPRegressor)(**options)
        ours = getattr(own, kind)(**options)
        w = w * 1e-31 if options["alpha"] == 0.0 else w
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.fit(x, y, w)
            ours.fit(x, y, w)
        if theirs.n_iter_ != ours.n_iter_:
            yield "epochs"
        common = min(theirs.n_iter_, ours.n_iter_)
        one, other = theirs.loss_curve_[:common], ours.loss_curve_[:common]
        if not np.allclose(one, other, rtol=1e-5):
            yield "curves"


def _data(kind: str, draw: np.random.Generator) -> tuple[Array, Array]:
    x = draw.normal(size=(600, 6))
    if kind == "numbers":
        return x, np.sin(x[:, :1]) + x[:, 1:2]
    level = np.sin(x[:, 0]) + x[:, 1]
    return x, np.digitize(level, np.quantile(level, [0.2, 0.4, 0.6, 0.8]))


@trial("doctor", 60, 1, "false alarms", "missed")
def diagnose(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """The doctor finds runs that learn healthy, and runs on shuffled targets not."""
    for i in range(tries):
        draw = np.random.default_rng(seed + i)
        kind = str(draw.choice(["numbers", "labels"]))
        x, y = _data(kind, draw)
        for shuffled in (False, True):
            if shuffled:
                y = draw.permutation(y)
            model = xn.Sequential(
                [xn.Dense(128, "relu"), xn.Dense(5 if y.ndim == 1 else 1)]
            )
            loss = "softmax_cross_entropy" if y.ndim == 1 else "mean_squared_error"
            trainer = xn.Trainer(model, loss, xn.Adam(3e-3), "cpu", seed=i)
            parts, held = xn.split(x, y, (0.7, 0.3), seed=i)
            epochs = int(draw.choice([1, 100])) if shuffled else 10
            trainer.fit(*parts, epochs, 32, held, verbose=False, diagnose=True)
            found = trainer.history.diagnosis
            assert found is not None
            if found.healthy is shuffled:
                yield "missed" if shuffled else "false alarms"
