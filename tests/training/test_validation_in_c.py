"""The validation of a `fit` is that of `evaluate`, and goes in C where it can."""

import sys
from itertools import pairwise

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data, in_turns
from tests.training.examples import trainer
from xpnet.compiler import c as native
from xpnet.execution.evaluation import EvaluationBlocks
from xpnet.training.data import samples_of
from xpnet.training.evaluate import NetworkEvaluation

EPOCHS, BATCH = 4, 7
C = pytest.param(True, marks=pytest.mark.skipif(not native.available(), reason="no C"))
JIT = pytest.mark.parametrize("jit", [False, C])
KINDS = {
    "labels": ("dense", "softmax_cross_entropy", "labels"),
    "values": ("dropout", "mean_squared_error", "values"),
    "statistics": ("batch norm", "softmax_cross_entropy", "labels"),
}


@pytest.fixture
def runs(monkeypatch):
    """How many evaluations C has run."""
    found, run = [], EvaluationBlocks.run

    def noted(self, *arguments):
        found.append(self)
        run(self, *arguments)

    monkeypatch.setattr(EvaluationBlocks, "run", noted)
    return found


class Evaluated(xn.Callback):
    """What `evaluate` says after each epoch."""

    def __init__(self, *arguments):
        self.arguments, self.rows = arguments, []

    def on_epoch_end(self, trainer, row):
        found = trainer.evaluate(*self.arguments, batch_size=BATCH)
        self.rows.append({f"val_{name}": value for name, value in found.items()})


@pytest.mark.parametrize(
    ("kind", "weighted", "average"), in_turns(KINDS, [False, True], [None, 0.9])
)
@JIT
def test_scores_are_those_of_evaluate(kind, weighted, average, jit, runs):
    hidden, loss, targets = KINDS[kind]
    x, y = data(targets)
    w = [np.linspace(0.5, 2.0, len(x))] if weighted else []
    kept = None if average is None else xn.WeightAverage(average)
    t = trainer(hidden, loss, xn.Adam(0.01), jit=jit, average=kept)
    asked = Evaluated(x, y, *w)
    history = t.fit(
        x, y, EPOCHS, BATCH, validation=(x, y, *w), callbacks=asked, verbose=False
    )
    found = [{k: v for k, v in row.items() if k[:4] == "val_"} for row in history]
    assert found == asked.rows
    assert len(set(history["val_loss"])) == EPOCHS
    assert len(runs) == (EPOCHS - 1 if jit else 0)


@JIT
def test_a_metric_may_keep_the_predictions(jit):
    kept = []

    def keeps(prediction, target, weights):
        kept.append(prediction)
        return 0.0

    x, y = data()
    t = trainer(metrics=xn.Metric(keeps, higher_is_better=False), jit=jit)
    t.fit(x, y, EPOCHS, BATCH, validation=(x, y), verbose=False)
    kept = kept[-EPOCHS:]
    assert not any(np.array_equal(a, b) for a, b in pairwise(kept))


def test_memory_maps_are_read_batch_by_batch(tmp_path, runs):
    x, y = data()
    x = x.astype(np.float32)
    on_disk = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    on_disk[...] = x
    found = []
    for held in (x, on_disk):
        t = trainer(jit=native.available())
        t.fit(x, y, EPOCHS, BATCH, validation=(held, y), verbose=False)
        found.append(t.history["val_loss"])
    assert found[0] == found[1]


def calls(function, *arguments):
    """(how many Python functions it calls, what it returns)."""
    made = []
    sys.setprofile(lambda frame, event, _: event == "call" and made.append(1))
    try:
        found = function(*arguments)
    finally:
        sys.setprofile(None)
    return len(made), found


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_a_later_run_calls_as_little_for_many_parts():
    x, y = data()
    t = trainer(jit=True)
    t.fit(x, y, 1, BATCH, verbose=False)
    counts = []
    for size in (len(x), 1):
        evaluation = NetworkEvaluation(t, samples_of(t, x, y), size)
        wanted = [evaluation.run({}) for _ in range(2)]
        count, found = calls(evaluation.run, {})
        assert wanted == [found, found]
        counts.append(count)
    assert abs(counts[1] - counts[0]) < len(x)
