"""Parts of a stack have its programs; programs are kept in bounds, and not too long."""

import copy
import gc
import os
import pickle
import signal
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xpnet as xn
from tests.stack.kept import JIT, X, Y, assert_as_fresh, fitted, stack_of
from tests.standin import standin_backend
from tests.ways import everything, rows, same
from xpnet.compiler import c as native
from xpnet.stack import kept

# Parts of a stack.


@pytest.mark.parametrize("chosen", [[0, 2, 4], [4, 1, 0], [1], [3, 1]])
def test_a_part_of_a_stack_is_a_stack_of_its_networks(chosen):
    stack = stack_of(False)
    fitted(stack)
    part = stack.part(chosen)
    assert part.trainers == [stack[i] for i in chosen]
    own = [rows(i) for i in chosen]
    for _ in range(2):
        assert_as_fresh(part, rows=own)
    assert_as_fresh(stack)


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_a_part_in_c_records_nothing_and_computes_its_networks_only(tapes, monkeypatch):
    from xpnet.execution.c_steps import Steps

    stack = stack_of(True, "dense", xn.SGD(0.1))
    fitted(stack, rows=None), stack.evaluate(X, Y)
    tapes.clear()
    taken, run = set(), Steps.run

    def noted(self, start, stop, first, members):
        taken.update(range(first, first + members))
        return run(self, start, stop, first, members)

    monkeypatch.setattr(Steps, "run", noted)
    part = stack.part([3, 1])
    fitted(part, rows=None), part.evaluate(X, Y)
    assert not tapes
    assert len(taken) == 2


def test_rounds_of_a_search_share_their_programs(tapes, monkeypatch):
    if not native.available():
        pytest.skip("no C compiler")
    counts, run = [], xn.Stack.fit

    def noted(self, *arguments, **options):
        tapes.clear()
        found = run(self, *arguments, **options)
        counts.append((len(self), len(tapes)))
        return found

    monkeypatch.setattr(xn.Stack, "fit", noted)

    def make(rate, seed=0):
        layers = [xn.Dense(6, "relu"), xn.Dropout(0.2), xn.Dense(3)]
        return xn.Trainer(
            xn.Sequential(layers), "softmax_cross_entropy", xn.Adam(rate),
            device="cpu", seed=seed, jit=True,
        )  # fmt: skip

    space = {"rate": [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 1e-6]}
    xn.halving_search(make, X, Y, space, epochs=9, folds=2, verbose=False)
    assert [networks for networks, _ in counts] == [18, 6, 2]
    assert counts[0][1] > 0
    assert [recorded for _, recorded in counts[1:]] == [0, 0]


def test_places_that_are_not_there_are_refused():
    stack = stack_of(False)
    for chosen, error in (([], ValueError), ([1, 1], ValueError), ([9], IndexError)):
        with pytest.raises(error):
            stack.part(chosen)


# What is kept.


def test_large_stacks_and_many_kinds_are_not_kept(monkeypatch):
    stack = stack_of(False)
    for size in range(2, 12):
        fitted(stack, batch_size=size)
        stack.predict(X[: size + 2])
    assert 0 < sum(len(one.recorded) for one, _ in stack._kept._kept) <= kept.MOST
    monkeypatch.setattr(kept, "MOST", 12)
    for size in range(2, 12):
        fitted(stack, batch_size=size)
        assert sum(len(one.recorded) for one, _ in stack._kept._kept) <= 12
    monkeypatch.setattr(kept, "ROOM", 1000)
    fitted(stack), stack.predict(X)
    assert not len(stack._kept)
    assert_as_fresh(stack)


@JIT
def test_neither_samples_nor_a_stack_gone_by_is_held(jit):
    gc.collect()
    gc.disable()
    try:
        stack, x = stack_of(jit), X.astype(np.float32)
        for _ in range(2):
            fitted(stack, x=x), stack.predict(x), stack.evaluate(x, Y)
        arrays = weakref.ref(x)
        programs = weakref.ref(stack._kept._kept[0][0].buffers.params)
        del x
        assert arrays() is None
        del stack
        assert programs() is None
    finally:
        gc.enable()


def test_networks_that_are_given_up_are_not_held():
    stack = stack_of(False)
    fitted(stack), stack.predict(X)
    part, trainer = stack.part([0, 1]), weakref.ref(stack[4])
    fitted(part)
    del stack
    gc.collect()
    assert trainer() is None


def own_object(stack):
    class Slope:
        def __call__(self, z):
            return z * 0.5

    for trainer in stack.trainers:
        trainer.model.layers[1].extra = Slope()


def test_what_may_change_unseen_is_recorded_each_time(tapes):
    stack = stack_of(False)
    own_object(stack)
    fitted(stack)
    count = len(tapes)
    fitted(stack)
    assert len(tapes) == 2 * count
    assert not len(stack._kept)


@pytest.mark.parametrize(
    "how", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_has_programs_of_its_own(how):
    stack = stack_of(False)
    fitted(stack), stack.predict(X)
    other = how(stack)
    assert len(stack._kept)
    assert not len(other._kept)
    assert fitted(other) == fitted(stack)
    assert_as_fresh(other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_goes_on_with_the_programs():
    stack = stack_of(False)
    fitted(stack)
    stack._kept._lock.acquire()  # as if another thread were within
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it, should it wait for the lock
        try:
            os.write(write, np.array(fitted(stack)).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as found:
        losses = found.read()
    os.waitpid(child, 0)
    stack._kept._lock.release()
    assert losses == np.array(fitted(stack)).tobytes()


def test_threads_may_predict_at_once():
    stack = stack_of(False)
    fitted(stack)
    wanted = stack.predict(X)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: stack.predict(X), range(24)):
            assert same(found, wanted)


def test_a_fit_that_fails_leaves_no_programs():
    class Fail(xn.Callback):
        def on_epoch_end(self, trainer, row):
            raise RuntimeError("mine")

    stack = stack_of(False)
    fitted(stack)
    with pytest.raises(RuntimeError, match="mine"):
        fitted(stack, callbacks=Fail())
    assert not len(stack._kept)
    assert_as_fresh(stack)


def test_on_a_device_too(standin, tapes):
    stack, other = (stack_of(None, device=standin_backend()) for _ in "ab")
    fitted(stack), fitted(other)
    tapes.clear()
    other._kept = kept.Kept()
    assert fitted(stack) == fitted(xn.Stack(other.trainers))
    for a, b in zip(stack.trainers, other.trainers, strict=True):
        assert same(everything(a), everything(b))
    tapes.clear()
    fitted(stack)
    assert not tapes
