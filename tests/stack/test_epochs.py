"""A stack in C: epochs together, one by one, and call by call, with the same bits."""

import os
import signal
import time

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, OUTPUTS, data
from tests.stack.examples import (
    BATCH,
    MEMBERS,
    alone,
    assert_alike,
    at_rates,
    fitted,
    in_c,
    of,
)
from tests.training.examples import network
from tests.ways import assert_close, everything, rows
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.execution import network_blocks
from xpnet.execution.c_steps import Epochs
from xpnet.stack import fit
from xpnet.stack.epochs import EpochBlock
from xpnet.stack.group import NetworkGroup

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
EPOCHS = 9
W = np.linspace(0.0, 2.0, 23)


def errors(stack):
    return {i: str(error) for i, error in stack.errors.items()}


# networks, options, those that diverge: in the first epoch and later, in several steps
CASES = {
    "dropout": (of("dropout", "noisy"), {}, ()),
    "schedules": (of("dense", "adamw"), {}, ()),
    "balanced": (
        of(dtype="float64"), {"sample_weight": W, "class_weight": "balanced"}, (),
    ),
    "full batches": (of(), {"rows": [np.arange(n) for n in (21, 14, 7, 21, 7)]}, ()),
    "sizes": (of(), {"rows": [np.arange(n) for n in (23, 3, 5, 7, 1)]},
              ()),
    "late": (
        at_rates([0.05, 1e30, 1.0, 0.7, 1e4], "dropout"), {"epochs": 60}, (1, 2, 3, 4),
    ),
    "packed": (at_rates([0.05, 1e30, 1e30, 1e30, 0.02]), {"epochs": 30}, (1, 2, 3)),
    "statistics": (at_rates([0.05, 1e30, 0.1, 0.05, 1e30], "batch norm"), {}, (1, 4)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_epochs_together_are_those_one_by_one_and_call_by_call(
    case, split, spans, monkeypatch
):
    make, options, ends = CASES[case]
    if case == "sizes":  # too little that threads could share
        monkeypatch.setattr(fit, "workers", lambda members: 1)
    calls = fitted(lambda i: make(i, jit=False), **options)
    single = fitted(in_c(make), callbacks=xn.Callback(), **options)
    assert not spans
    found = fitted(in_c(make), **options)
    assert case == "statistics" or max(spans) > 1
    for wanted in (calls, single):
        assert errors(found[0]) == errors(wanted[0])
        assert_alike(found, wanted)
    assert set(found[0].errors) == set(ends)
    lengths = [len(history) for history in found[1]]
    if case == "late":
        assert lengths[0] == 60
        assert 1 < min(lengths[2:4]) <= max(lengths[2:4]) < 60
    if case == "packed":  # those that have diverged make room for the others
        assert len(spans) > 2


def test_a_network_that_has_diverged_is_left_in_peace(split, spans, monkeypatch):
    parted, part = [], NetworkGroup._remove_diverged

    def noted(self, tile, table):
        ended = part(self, tile, table)
        parted.append(len(ended))
        return ended

    monkeypatch.setattr(NetworkGroup, "_remove_diverged", noted)
    fitted(in_c(CASES["late"][0]), epochs=60)
    assert parted
    assert all(parted)


@pytest.mark.parametrize("together", [False, True])
def test_networks_that_see_the_same_go_on_when_the_first_of_them_ends(
    together, split, spans
):
    own = [np.arange(23)] * MEMBERS  # its second step goes wrong, not the last
    make = in_c(at_rates([1e30, 0.05, 0.01, 0.02, 0.03]))
    how = {} if together else {"callbacks": xn.Callback()}
    found = fitted(make, rows=own, **how)
    assert set(found[0].errors) == {0}  # so few that the others stay where they are
    assert bool(spans) is together
    every = [alone(make, i, own[i]) for i in range(MEMBERS)]
    assert_alike(found, tuple(zip(*every, strict=True)), 1e-6)


def test_a_training_goes_on_where_it_was(spans):
    whole = fitted(in_c(of("dropout", "noisy")), callbacks=xn.Callback())
    parts, _ = fitted(in_c(of("dropout", "noisy")), epochs=4)
    parts.fit(*data(), 5, BATCH, [rows(i) for i in range(MEMBERS)], verbose=False)
    assert spans
    for a, b in zip(parts, whole[0], strict=True):
        assert_close(everything(a), everything(b), 0.0)


@pytest.mark.parametrize("at", [0, 4])
def test_ctrl_c_ends_all_after_the_same_epoch(at, split, spans, monkeypatch):
    run, turns = Epochs.run, []

    def pressed(self, start, stop, *networks):
        turns.append(stop)
        if len(turns) == 1 + 3 * at:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.005)  # the main thread is told of it
        return run(self, start, stop, *networks)

    monkeypatch.setattr(Epochs, "run", pressed)
    stack, histories = fitted(in_c(of()), epochs=9 if at == 0 else 30)
    (count,) = {len(history) for history in histories}
    assert 1 < count < 30
    for i, history in enumerate(histories):
        steps = -(-len(rows(i)) // BATCH)
        assert history.stopped == f"interrupted in epoch {count} after batch 3"
        assert stack[i].steps_done == count * steps
        assert stack[i].epochs_done == count
    monkeypatch.setattr(Epochs, "run", run)
    plain, _ = fitted(in_c(of()), epochs=count, callbacks=xn.Callback())
    for a, b in zip(stack, plain, strict=True):
        assert_close(everything(a), everything(b), 0.0)


def test_ctrl_c_ends_all_networks_after_the_same_step(monkeypatch):
    advance, once = NetworkGroup._advance, iter([True])

    def pressed(self, i, most):
        if i >= 3 and next(once, False):
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, i, most)

    monkeypatch.setattr(NetworkGroup, "_advance", pressed)
    stack = xn.Stack([network(i, jit=True) for i in range(4)])
    stack.fit(np.zeros((64, 4), np.float32), np.arange(64) % 3, 3, 8, verbose=False)
    counts = {trainer.steps_done for trainer in stack.trainers}
    assert len(counts) == 1
    assert 3 < counts.pop() < 24
    assert all(t.stop.startswith("interrupted in epoch") for t in stack.trainers)


def test_a_second_ctrl_c_leaves_whole_epochs_in_the_counters(spans, monkeypatch):
    monkeypatch.setattr(fit, "workers", lambda members: 1)
    run = Epochs.run

    def pressed(self, start, stop, *networks):
        if stop > 4 * 4:
            raise KeyboardInterrupt
        return run(self, start, stop, *networks)

    monkeypatch.setattr(Epochs, "run", pressed)
    stack = xn.Stack([network(i, jit=True) for i in range(MEMBERS)])
    with pytest.raises(KeyboardInterrupt):
        stack.fit(*data(), EPOCHS, BATCH, verbose=False)
    assert [t.epochs_done for t in stack.trainers] == [1 + 4] * MEMBERS
    assert [t.steps_done for t in stack.trainers] == [4 * 5] * MEMBERS


def test_a_progress_that_raises_loses_no_epoch(spans):
    """All that has been trained is in the counters, whatever has been told."""
    told = []

    def tell(count):
        told.append(count)
        if len(told) == 3 * MEMBERS:
            raise RuntimeError("enough")

    stack = xn.Stack([network(i, "dropout", "noisy", jit=True) for i in range(MEMBERS)])
    with pytest.raises(RuntimeError, match="enough"):
        stack.fit(*data(), EPOCHS, BATCH, progress=tell, verbose=False)
    epochs = stack[0].epochs_done
    assert epochs == 1 + spans[0]
    how = {"rows": None, "callbacks": xn.Callback()}
    plain, _ = fitted(in_c(of("dropout", "noisy")), epochs=epochs, **how)
    for a, b in zip(stack, plain, strict=True):
        assert_close(everything(a), everything(b), 0.0)


def test_rows_tell_the_rate_of_their_own_epoch(spans):
    rule = xn.SGD(xn.Cosine(0.1, 40))
    _, histories = fitted(in_c(of(rule=rule)), rows=None)
    assert spans
    wanted = [xn.Cosine(0.1, 40)(4 * epoch - 1) for epoch in range(1, EPOCHS + 1)]
    for history in histories:
        assert history["learning_rate"] == pytest.approx(wanted)
        assert min(history["seconds"]) > 0.0


def test_threads_take_turns_until_all_is_done(monkeypatch, spans):
    monkeypatch.setattr(fit, "workers", lambda members: 2)
    turns, run = {}, Epochs.run

    def counted(self, start, stop, *networks):
        turns.setdefault(networks, []).append((start, stop))
        return run(self, start, stop, *networks)

    monkeypatch.setattr(Epochs, "run", counted)
    x = np.zeros((64, FEATURES), np.float32)
    stack = xn.Stack([network(i, jit=True) for i in range(16)])
    stack.fit(x, np.arange(64) % OUTPUTS, EPOCHS, 9, verbose=False)
    assert sum(spans) == EPOCHS - 1
    wanted = [(8 * i, 8 * i + 8) for count in spans for i in range(count)]
    assert list(turns.values()) == [wanted] * 2


def test_full_steps_are_taken_in_c_together(monkeypatch):
    taken = []
    run = network_blocks.NetworkBlock.run

    def counted(self, stop):
        assert getattr(self._run.__self__, "in_c", True)
        taken.append((self.reached, stop, len(self.networks)))
        return run(self, stop)

    monkeypatch.setattr(network_blocks.NetworkBlock, "run", counted)
    monkeypatch.setattr(fit, "workers", lambda members: 1)
    monkeypatch.setattr(tuning, "BLOCK_SECONDS", 60.0)
    x, y = np.zeros((64, 4), np.float32), np.arange(64) % 3
    stack = xn.Stack([network(i, jit=True) for i in range(4)])
    each = xn.Callback()  # looks at every epoch
    stack.fit(x, y, 6, 8, verbose=False, callbacks=each)
    assert sum((b - a) * k for a, b, k in taken) == 6 * 8 * 4
    assert {(a, b) for a, b, _ in taken[-2:]} == {(0, 8)}  # an epoch in one go


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tiles_are_as_large_as_lets_the_threads_end_together(threads):
    def last(count, tile):
        return -(-len(range(0, count, tile)) // threads) * tile

    for count in range(1, 40):
        for most in range(1, 12):
            tile = network_blocks.balanced(count, most, threads)
            others = range(1, min(most, count) + 1)
            assert 1 <= tile <= min(most, count)
            assert last(count, tile) == min(last(count, other) for other in others)


def test_what_is_prepared_fits_into_the_estimate(monkeypatch, spans):
    from xpnet.stack.memory import EPOCH_BLOCKS, _own_bytes

    made, blocks = [], EpochBlock._made
    monkeypatch.setattr(
        EpochBlock, "_made", lambda self: made.append(self) or blocks(self)
    )
    stack, _ = fitted(in_c(of("dense", "adam")), sample_weight=np.ones(23))
    (made,) = made
    arrays = (made._index, made._weighted, made._table, made._losses)
    taken = sum(array.nbytes for array in arrays)
    own = MEMBERS * EPOCH_BLOCKS * _own_bytes(stack[0], BATCH)
    assert 0.2 * own < taken <= own
