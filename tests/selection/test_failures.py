"""What goes wrong in a search is told with its setting, or before any work."""

import json

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.selection.examples import CLASSES, QUICK, data, make


def test_a_setting_that_diverges_is_said_to_and_never_the_best():
    x, y = data(regression=True)

    def explosive(learning_rate, seed=0):
        layers = [xn.Dense(4), xn.Dense(2)]
        return xn.Trainer(
            xn.Sequential(layers), "mean_squared_error", xn.SGD(learning_rate), "cpu",
            seed=seed,
        )  # fmt: skip

    results = xn.grid_search(
        explosive, x, y, {"learning_rate": [1e6, 1e-7]}, folds=3, **QUICK
    )
    bad, good = results.trials
    assert results.best is good
    assert not bad.complete
    assert set(bad.errors) == {0, 1, 2}
    assert all("diverged at step" in error for error in bad.errors.values())
    assert "failed in 3 of 3: training diverged" in str(results)
    text = json.loads(results.to_json())
    assert text["trials"][1]["errors"]["0"].startswith("training diverged")
    only = xn.grid_search(explosive, x, y, {"learning_rate": [1e6]}, folds=3, **QUICK)
    with pytest.raises(ValueError, match=r"learning_rate=1e.06: failed in 3 of 3"):
        _ = only.best


def refusing(error=None, activation="tanh", metrics=None):
    """A `make` whose networks fail at a learning rate of 0.5."""

    def make(learning_rate, seed=0):
        bad = learning_rate == 0.5
        if bad and error is not None:
            raise error
        layers = [xn.Dense(5, activation if bad else "tanh"), xn.Dense(CLASSES)]
        return xn.Trainer(
            xn.Sequential(layers), "softmax_cross_entropy", xn.SGD(learning_rate),
            "cpu", "float64", seed, metrics if bad else None,
        )  # fmt: skip

    return make


class Reading(xn.Callback):
    def on_epoch_end(self, trainer, row):
        if trainer.learning_rate == 0.5:
            row["val_loss"]


def divide(p, target, weights):
    return 1.0 / 0.0


FAILURES = {
    "make": (refusing(KeyError("hidden")), {}, KeyError, r"KeyError\('hidden'\)"),
    "a type": (refusing(TypeError("a word")), {}, TypeError, "a word"),
    "a layer": (refusing(activation=lambda z: z @ z), {}, ValueError, "matmul"),
    "a metric": (refusing(metrics=[divide]), {}, ValueError, "'divide'.*division"),
    "a callback": (refusing(), {"callbacks": Reading()}, KeyError, "val_loss"),
}


@pytest.mark.parametrize(
    ("failure", "search"), in_turns(FAILURES, [xn.grid_search, xn.halving_search])
)
def test_what_fails_in_a_setting_names_it(failure, search):
    make, options, error, message = FAILURES[failure]
    if "callbacks" in options:  # halving takes none
        search = xn.grid_search
    options = {"folds": 3, "at_once": 3, **QUICK, **options}
    with pytest.raises(error, match=f"setting learning_rate=0.5.*{message}"):
        search(make, *data(), {"learning_rate": [0.01, 0.5]}, **options)


def test_errors_of_ones_own_kind_keep_it():
    class OwnError(Exception):
        def __init__(self, a, b):
            super().__init__(a, b)

    with pytest.raises(OwnError) as told:
        xn.grid_search(
            refusing(OwnError(1, 2)), *data(), {"learning_rate": [0.5]}, **QUICK
        )
    assert told.value.__notes__ == ["setting learning_rate=0.5"]


def test_functions_made_within_make_keep_networks_apart(tmp_path):
    """One by one, to the same numbers; folds of one sample less are no bar."""
    x, y = data()

    def apart(learning_rate, seed=0):
        return refusing(activation=lambda z: np.tanh(z))(learning_rate, seed)

    space = {"learning_rate": [0.5, 0.1]}
    options = {"folds": 3, "epochs": 2, "verbose": False}
    with pytest.warns(UserWarning, match="train one by one"):
        found = xn.grid_search(apart, x, y, space, **options)
    wanted = xn.grid_search(refusing(activation=np.tanh), x, y, space, **options)
    assert [t.scores for t in found.trials] == [t.scores for t in wanted.trials]


def validating(**options):
    return lambda x, y: xn.cross_validate(make, x, y, **options)


def gridding(space, **options):
    return lambda x, y: xn.grid_search(make, x, y, space, **options)


def halving(space, **options):
    return lambda x, y: xn.halving_search(make, x, y, space, **options)


def curve(*sizes):
    return lambda x, y: xn.learning_curve(make, x, y, list(sizes))


BAD = [
    (gridding({"learningrate": [1]}), "did you mean 'learning_rate'"),
    (lambda x, y: xn.cross_validate(make, x, y, {"hiden": 3}), "'hidden'"),
    (lambda x, y: xn.cross_validate(make, x[:9], y), "sample, 9; got 47"),
    (lambda x, y: xn.cross_validate(lambda: 3, x, y), "gives a Trainer"),
    (validating(fold=3), "unknown option 'fold'"),
    (validating(folds=48), "at most .* one per sample"),
    (validating(folds=20), "samples of every class"),
    (validating(folds=[(1, 2, 3)]), "pairs"),
    (validating(folds=[([0, 1], [1, 2])]), "row 1 in both"),
    (validating(folds=[([0], [99])]), "row numbers 0..46"),
    (validating(monitor="acuracy"), "did you mean 'accuracy'"),
    (validating(scale="std"), "'standard'"),
    (validating(epochs=0), "epochs"),
    (validating(batch_size=0), "batch_size"),
    (validating(validation=1.0), "validation"),
    (gridding({"l2": [-1.0]}), "setting l2=-1: .*l2 >= 0"),
    (gridding({}, test=1.0), "test < 1"),
    (halving({}, factor=1.0), "factor"),
    (halving({"epochs": [1]}), "epochs"),
    (halving({"l2": [0.0]}, file="f"), "file: expected none"),
    (curve(), "at least one"),
    (curve(1.5), "sizes <= 1"),
    (curve(400), "sizes"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(*data())
