"""A stack keeps its programs: nothing is recorded again, and no bit is another one."""

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
from tests.cases import data
from tests.standin import standin_backend
from tests.training.examples import network
from tests.ways import everything, rows, same
from xpnet.compiler import c as native
from xpnet.layers.activations import Activation
from xpnet.stack import fit, kept
from xpnet.trace import Tape

MEMBERS, BATCH = 5, 7
C = pytest.param(True, marks=pytest.mark.skipif(not native.available(), reason="no C"))
JIT = pytest.mark.parametrize("jit", [False, C])
X, Y = data()


@pytest.fixture
def tapes(monkeypatch):
    """One entry a recording."""
    made, init = [], Tape.__init__

    def noted(self):
        made.append(self)
        init(self)

    monkeypatch.setattr(Tape, "__init__", noted)
    return made


def stack_of(jit, hidden="dropout", rule="adam", members=MEMBERS, **options):
    return xn.Stack(
        [network(i, hidden, rule, jit=jit, **options) for i in range(members)]
    )


def fitted(stack, **options):
    how = {"rows": [rows(i) for i in range(len(stack))], **options}
    x, y = how.pop("x", X), how.pop("y", Y)
    size = how.pop("batch_size", BATCH)
    found = stack.fit(x, y, 3, size, verbose=False, **how)
    return [[row["loss"] for row in history.rows] for history in found]


def fresh(stack):
    """Another stack of equal networks, which has no programs."""
    trainers = [copy.deepcopy(trainer) for trainer in stack.trainers]
    for old, new in zip(stack.trainers, trainers, strict=True):
        new.jit = old.jit
    return xn.Stack(trainers)


def assert_as_fresh(stack, **options):
    other = fresh(stack)
    losses = fitted(stack, **options)
    assert losses == fitted(other, **options)
    for a, b in zip(stack.trainers, other.trainers, strict=True):
        assert same(everything(a), everything(b))
    assert same(stack.predict(X), other.predict(X))
    assert stack.evaluate(X, Y) == other.evaluate(X, Y)


def moved(stack):
    for trainer in stack.trainers:
        w = trainer.parameters()["0.W"]
        trainer.set_parameters({"0.W": np.asarray(w) * 0.5})


def alone(stack):
    stack[1].fit(X, Y, 2, 5, verbose=False)
    stack[3].step(X[:4], Y[:4])


def rates(stack):
    for i, trainer in enumerate(stack.trainers):
        trainer.learning_rate = 0.001 * (i + 1)


def infinite(stack):
    stack[0].parameters()["0.W"][...] = 3e38
    fitted(stack)
    assert set(stack.errors) == {0}
    stack[0].set_parameters(stack[1].parameters())


def stopped(stack):
    class Stop(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if trainer.learning_rate == stack[2].learning_rate:
                trainer.stop = "enough"

    fitted(stack, callbacks=Stop())


def most_stopped(stack):
    class Stop(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if trainer.learning_rate != stack[2].learning_rate:
                trainer.stop = "enough"

    fitted(stack, callbacks=Stop())


def nothing(stack):
    return None


DATA = np.random.default_rng(8).standard_normal((23, X.shape[1]))
SAME = {  # what has changed since: nothing is recorded
    "nothing": (nothing, {}),
    "other samples": (nothing, {"x": DATA, "y": Y[::-1]}),
    "order": (nothing, {"shuffle": False}),
    "weights set": (moved, {}),
    "trained alone": (alone, {}),
    "rates": (rates, {}),
    "stopped": (stopped, {}),
    "most stopped": (most_stopped, {}),
    "diverged": (infinite, {}),
}


def assigned(where, name, value):
    def change(stack):
        for trainer in stack.trainers[1:3]:
            setattr(where(trainer), name, value)

    return change


def of_all(where, name, value):
    def change(stack):
        for trainer in stack.trainers:
            setattr(where(trainer), name, value)

    return change


def layer(trainer):
    return trainer.model.layers[0]


def dropped(trainer):
    return trainer.model.layers[1]


def rule(trainer):
    return trainer.optimizer


def loss(trainer):
    return trainer.loss_function


def itself(trainer):
    return trainer


def replaced(stack):
    stack.trainers[2] = network(7, "dropout", "adam", jit=stack[2].jit)
    stack.trainers[2].build(X.shape[1])


def turned(stack):
    stack.trainers.reverse()


def own_function(stack):
    for slope in (0.5, 2.0):
        act = Activation(lambda z, slope=slope: slope * z * abs(z))
        of_all(layer, "f", act)(stack)
        if slope == 0.5:
            fitted(stack), stack.predict(X), stack.evaluate(X, Y)


CHANGED = {  # and what is recorded anew, or may be
    "batch size": (nothing, {"batch_size": 9}),
    "full batch": (nothing, {"batch_size": None}),
    "rows": (nothing, {"rows": [rows(i + 1) for i in range(MEMBERS)]}),
    "sizes": (nothing, {"rows": [np.arange(n) for n in (23, 9, 14, 3, 20)]}),
    "weights": (nothing, {"sample_weight": np.linspace(0.0, 2.0, 23)}),
    "balanced": (nothing, {"class_weight": "balanced"}),
    "validation": (nothing, {"validation": (X, Y)}),
    "dropout": (assigned(dropped, "rate", 0.4), {}),
    "dropout of all": (of_all(dropped, "rate", 0.4), {}),
    "activation": (of_all(layer, "f", Activation("tanh")), {}),
    "function": (own_function, {}),
    "penalty": (assigned(rule, "l2", 0.1), {}),
    "beta": (of_all(rule, "beta1", 0.5), {}),
    "clipping": (assigned(rule, "clip_norm", 0.01), {}),
    "smoothing": (of_all(loss, "label_smoothing", 0.3), {}),
    "loss": (of_all(itself, "loss_function", xn.SoftmaxCrossEntropy(0.2)), {}),
    "seed": (assigned(itself, "seed", 77), {}),
    "another network": (replaced, {}),
    "another order": (turned, {}),
}


@JIT
@pytest.mark.parametrize("what", SAME)
def test_a_second_fit_records_nothing_and_gives_the_same_bits(what, jit, tapes):
    change, options = SAME[what]
    stack = stack_of(jit)
    for _ in range(2):
        fitted(stack)
        stack.predict(X), stack.evaluate(X, Y)
    change(stack)
    other = fresh(stack)
    tapes.clear()
    losses = fitted(stack, **options)
    predictions, scores = stack.predict(X), stack.evaluate(X, Y)
    # Networks that have stopped leave the others to be packed, if not in C.
    assert not tapes or (what in ("stopped", "diverged") and not jit)
    assert losses == fitted(other, **options)
    for a, b in zip(stack.trainers, other.trainers, strict=True):
        assert same(everything(a), everything(b))
    assert same(predictions, other.predict(X))
    assert scores == other.evaluate(X, Y)


@JIT
@pytest.mark.parametrize("what", CHANGED)
def test_what_has_changed_is_not_stale(what, jit):
    change, options = CHANGED[what]
    stack = stack_of(jit)
    fitted(stack)
    stack.predict(X), stack.evaluate(X, Y)
    change(stack)
    assert_as_fresh(stack, **options)
    assert_as_fresh(stack)  # and back


@JIT
def test_programs_that_only_predict_do_not_train(jit):
    stack = stack_of(jit)
    fitted(stack)
    stack = xn.Stack(stack.trainers)
    stack.predict(X), stack.evaluate(X, Y)
    assert_as_fresh(stack, rows=None)


@JIT
def test_programs_of_a_part_are_not_those_of_all(jit):
    """Two rows of these programs had no network of their own."""
    stack = stack_of(jit)
    long, short = np.arange(21), np.arange(16)
    fitted(stack, rows=[long] * MEMBERS)
    fitted(stack.part([0, 1, 4]), rows=[long, long, short])
    assert_as_fresh(stack, rows=[*[long] * 4, short])


@pytest.mark.parametrize("hidden", ["batch norm", "max norm", "noise"])
@JIT
def test_layers_of_every_kind_go_on(hidden, jit, tapes):
    stack = stack_of(jit, hidden, average=xn.WeightAverage(0.9))
    fitted(stack, validation=(X, Y))
    tapes.clear()
    fitted(stack, validation=(X, Y))
    assert not tapes
    assert_as_fresh(stack, validation=(X, Y))


@JIT
def test_threads_may_change(jit, monkeypatch):
    stack = stack_of(jit)
    for threads in (1, 3, 2, 1):
        monkeypatch.setattr(fit, "workers", lambda members, n=threads: n)
        assert_as_fresh(stack)


def test_other_threads_of_blas_are_other_programs(monkeypatch, tapes):
    """But for those in C, where no loop is shared by threads."""
    stack = stack_of(False)
    fitted(stack)
    tapes.clear()
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 7)
    fitted(stack)
    assert tapes


# Parts of a stack.


@pytest.mark.parametrize("chosen", [[0, 2, 4], [4, 1, 0], [1], [3, 1]])
@JIT
def test_a_part_of_a_stack_is_a_stack_of_its_networks(chosen, jit):
    stack = stack_of(jit)
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


@JIT
def test_a_fit_that_fails_leaves_no_programs(jit):
    class Fail(xn.Callback):
        def on_epoch_end(self, trainer, row):
            raise RuntimeError("mine")

    stack = stack_of(jit)
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
