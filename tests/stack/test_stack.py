"""Each network of a stack is the network trained alone."""

import os
import signal

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.stack.examples import (
    BATCH,
    alone,
    assert_alike,
    assert_as_alone,
    at_rates,
    fitted,
    of,
    recorded_group,
)
from tests.training.examples import network, weights
from tests.ways import assert_close, assert_same_curves, everything, held, rows, same
from xpnet.compiler import can_compile
from xpnet.execution.interrupt import Interrupt
from xpnet.stack import fit as together
from xpnet.stack.memory import network_bytes
from xpnet.training.data import Samples

W = np.linspace(0.0, 2.0, 23)


class Halve(xn.Callback):
    """Changes the weights after each epoch."""

    def on_epoch_end(self, trainer, row):
        for array in trainer.parameters().values():
            array[...] = array * 0.5


# What tests/cases.py has goes over 9 steps and is validated; here (networks, options).
ALONE = {
    "for long, adamw": (of("dense", "adamw"), {"epochs": 34}),
    "for long, statistics": (of("batch norm", "nesterov"), {"epochs": 34}),
    "classes": (of(), {"class_weight": {0: 3.0, 2: 0.5}}),
    "balanced": (of(), {"class_weight": "balanced", "sample_weight": W}),
    "in order": (of(), {"shuffle": False}),
    "a callback": (of(), {"callbacks": Halve()}),
    "several stacks": (of("dropout", "adam"), {"members": 7, "memory": 60_000}),
    "all samples": (of(), {"rows": None, "batch_size": None, "members": 3}),
    "single samples": (of(), {"rows": None, "batch_size": 1, "members": 3}),
    "sizes": (of("dropout"), {"rows": [np.arange(n) for n in (23, 4, 17, 17, 9)]}),
    "drawn twice": (of(), {"members": 1, "rows": [np.array([3, 3, 0, 22, 22, 9, 1])]}),
    "some diverge": (at_rates([0.05, 1e30, 0.1, 3e3, 0.1], "batch norm"), {}),
}


@pytest.mark.parametrize("case", ALONE)
def test_each_network_is_the_one_trained_alone(case):
    make, options = ALONE[case]
    stack, histories = assert_as_alone(
        lambda i, **more: make(i, dtype="float64", **more), **options
    )
    assert set(stack.errors) == ({1, 3} if case == "some diverge" else set())
    assert all(np.isfinite(everything(t)["model.params"]).all() for t in stack)
    assert len(histories[0]) == options.get("epochs", 9)
    if case == "sizes":
        assert [t.steps_done for t in stack] == [9 * n for n in (4, 1, 3, 3, 2)]


def test_averages_predict():
    x, y = data()

    def make(i):
        average = xn.WeightAverage(0.5 + 0.1 * i, start=i)
        return network(i, "batch norm", "momentum", average=average, dtype="float64")

    stack = xn.Stack([make(i) for i in range(3)])
    untrained = stack.predict(x)
    stack.fit(x, y, 2, BATCH, verbose=False)
    p = stack.predict(x)
    for i in range(3):
        np.testing.assert_allclose(p[i], stack[i].predict(x), rtol=0, atol=1e-12)
        np.testing.assert_allclose(untrained[i], make(i).predict(x), atol=1e-12)
    with stack[1].averaged(), pytest.raises(ValueError, match="averaged: leave"):
        stack.fit(x, y, 1, BATCH, verbose=False)


def test_predictions_and_scores_are_those_of_each_network():
    x, y = data(samples=51)
    stack, _ = fitted(of("batch norm", dtype="float64"), 4, epochs=2)
    p = stack.predict(x, batch_size=13)
    parts = [np.arange(i, 51, 3 + i) for i in range(4)]
    w = np.linspace(0.5, 2.0, 51)
    scores = stack.evaluate(x, y, rows=parts, sample_weight=w, batch_size=4)
    whole = stack.evaluate(x, y)
    for i in range(4):
        np.testing.assert_allclose(p[i], stack[i].predict(x), rtol=0, atol=1e-12)
        wanted = stack[i].evaluate(x[parts[i]], y[parts[i]], w[parts[i]])
        assert scores[i] == pytest.approx(wanted, abs=1e-12)
        assert whole[i] == pytest.approx(stack[i].evaluate(x, y), abs=1e-12)


def test_threads_change_nothing(monkeypatch):
    own, found = [rows(i) for i in range(7)], []
    for threads in (1, 3):
        monkeypatch.setattr(together, "workers", lambda members, n=threads: n)
        early = xn.EarlyStopping(patience=1)
        how = {"validation_rows": own, "callbacks": early}
        found.append(fitted(of("dropout", "adam"), 7, 6, rows=own, **how))
    assert_alike(*found, 1e-6)


def test_a_stack_takes_threads_where_they_pay(monkeypatch):
    trainers = [network(0) for _ in range(40)]
    assert together.workers(trainers[:1]) == 1
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 4)
    counts = [together.workers(trainers[:n]) for n in (1, 15, 16, 40)]
    assert counts == [1, 1, 2, 4]


def test_programs_are_compiled_once_it_is_known_to_pay(monkeypatch):
    told = []
    monkeypatch.setattr(
        "xpnet.compiler.jit.JitProgram.expect_runtime", lambda r, s: told.append(s)
    )
    fitted(of(), 2, rows=None)
    assert len(told) == 2, "full batches and the last one"
    assert all(0.0 < seconds < 60.0 for seconds in told)


# Networks that end early.


def test_a_network_that_stops_leaves_the_others_as_they_were():
    x, y = data(samples=40)

    def patience():
        return [xn.EarlyStopping(patience=2), xn.ReduceOnPlateau(patience=1)]

    def make(i):
        rule = xn.SGD([1.5, 0.02, 0.8, 0.1][i % 4])
        return network(i, "batch norm", rule, dtype="float64")

    own, kept = ([part(i, 40) for i in range(8)] for part in (rows, held))
    stack = xn.Stack([make(i) for i in range(8)])
    histories = stack.fit(
        x, y, 30, BATCH, own, validation_rows=kept, callbacks=patience(), verbose=False
    )
    for i in range(8):
        other = make(i)
        history = other.fit(
            x[own[i]], y[own[i]], 30, BATCH, validation=(x[kept[i]], y[kept[i]]),
            callbacks=patience(), verbose=False,
        )  # fmt: skip
        assert_close(everything(stack[i]), everything(other), 1e-12)
        assert_same_curves(histories[i], history, 1e-11)
        assert stack[i].learning_rate == other.learning_rate
    lengths = {len(history) for history in histories}
    assert len(lengths) > 3, "the test needs networks that stop at different times"


class Watch(xn.Callback):
    """Ends one network's training, and keeps what it was then."""

    seen: dict = {}  # noqa: RUF012

    def __init__(self, last):
        self.last = last

    def on_epoch_end(self, trainer, row):
        if len(trainer.history) == self.last.get(trainer.seed):
            trainer.stop = "enough"
            self.seen[trainer.seed] = everything(trainer)


def test_a_frozen_network_is_equal_bit_by_bit_to_what_it_was():
    watch = Watch({0: 2, 3: 3})
    watch.seen.clear()
    make = of("dropout", "momentum")
    how = {"rows": None, "callbacks": watch}
    stack, histories = fitted(lambda i: make(2 * i), 6, 6, **how)
    assert [len(h) for h in histories] == [2, 6, 6, 3, 6, 6]
    for i in (0, 3):
        assert same(everything(stack[i]), watch.seen[i])
        assert histories[i].stopped == "enough"


def test_a_row_that_diverged_is_finite_afterwards():
    """Else each later step would be looked at row by row."""
    trainers = [at_rates([0.1, 1e30])(i) for i in range(2)]
    group = recorded_group(trainers, Samples(trainers[0], *data("values")), 23, BATCH)
    with Interrupt() as interrupt:
        for _ in range(3):
            group.epoch(interrupt)
    assert group.alive == 1
    assert np.isfinite(group.parameters.buffers.params).all()
    assert np.isfinite(group.parameters.buffers.grads).all()


def test_ctrl_c_ends_all_networks_after_the_step():
    class Press(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if (trainer.epochs_done, trainer.seed) == (2, 1):
                os.kill(os.getpid(), signal.SIGINT)

    stack, histories = fitted(of(), 3, rows=None, callbacks=Press())
    for trainer, history in zip(stack, histories, strict=True):
        assert history.stopped == "interrupted in epoch 3 after batch 1"
        assert trainer.steps_done == 2 * 4 + 1
        assert np.isfinite(everything(trainer)["model.params"]).all()


# Members are ordinary trainers.


def test_a_stack_goes_on_where_its_trainers_are(tmp_path):
    """Trained apart, together, in another order, loaded, apart: as if always apart."""
    x, y = data()
    stacked, apart = ([network(i, "dropout", "adam") for i in range(4)] for _ in "ab")
    stacked[1].fit(x, y, 1, BATCH, verbose=False)
    xn.Stack(stacked).fit(x, y, 2, BATCH, verbose=False)
    xn.Stack(stacked[::-1]).fit(x, y, 1, BATCH, verbose=False)
    stacked[3].save(tmp_path)
    again = xn.Trainer.load(tmp_path, "cpu")
    assert same(weights(again), weights(stacked[3]))
    stacked[2].step(x[:5], y[:5])
    apart[1].fit(x, y, 1, BATCH, verbose=False)
    for trainer in apart:
        trainer.fit(x, y, 3, BATCH, verbose=False)
    apart[2].step(x[:5], y[:5])
    for a, b in zip(stacked, apart, strict=True):
        assert_close(everything(a), everything(b), 2e-6)


@pytest.mark.parametrize(("hidden", "jit"), [
    ("dense", False), ("dropout", True), ("batch norm", False), ("max norm", False),
])  # fmt: skip
def test_a_stack_takes_no_more_memory_than_was_estimated(hidden, jit):
    if jit and not can_compile():
        pytest.skip("no C compiler")
    trainers = [network(i, hidden, "adam", jit=jit) for i in range(9)]
    samples = Samples(trainers[0], *data(samples=60))
    group = recorded_group(trainers, samples, 59, 16)
    one = network_bytes(trainers[0], samples, 16)
    buffers = group.parameters.buffers
    taken = sum(a.nbytes for a in (buffers.params, buffers.grads, buffers.state))
    taken += sum(slot.nbytes for slot in group.parameters.slots.values())
    for step in group.parameters.recorded:
        batch = step.batch
        taken += step.program.nbytes + batch.x.nbytes + batch.y.nbytes
    assert taken < 9 * one < 20 * taken


def test_progress_is_told_of_each_network_and_epoch(capsys):
    told = []
    fitted(of(), 3, 4, progress=told.append)
    assert sum(told) == 12
    assert capsys.readouterr() == ("", "")


def test_a_callback_that_fails_leaves_every_trainer_with_its_weights():
    class Fail(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if trainer.epochs_done == 2:
                raise RuntimeError("mine")

    x, y = data()
    stack = xn.Stack([network(i) for i in range(3)])
    with pytest.raises(RuntimeError, match="mine"):
        stack.fit(x, y, 5, BATCH, callbacks=Fail(), verbose=False)
    for i in range(3):
        other, _ = alone(of(), i, np.arange(23), 2)
        assert_close(everything(stack[i]), everything(other), 1e-6)
