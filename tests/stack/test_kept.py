"""A stack keeps its programs: nothing is recorded again, and no bit is another one."""

from operator import attrgetter

import numpy as np
import pytest

import xpnet as xn
from tests.stack.examples import MEMBERS
from tests.stack.kept import JIT, C, X, Y, assert_as_fresh, fitted, stack_of
from tests.training.examples import network
from tests.ways import rows
from xpnet.layers.activations import Activation
from xpnet.stack import fit

# What may change between two fits.


def nothing(stack):
    return None


def each(change, some=slice(None)):
    """`change(trainer)` of these networks."""

    def act(stack):
        for trainer in stack.trainers[some]:
            change(trainer)

    return act


def assigned(where, name, value, some=slice(None)):
    """An attribute of what `where(trainer)` gives."""
    return each(lambda trainer: setattr(where(trainer), name, value), some)


def halved(trainer):
    w = np.asarray(trainer.parameters()["0.W"])
    trainer.set_parameters({"0.W": w * 0.5})


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


def stopped(one):
    """Network 2 stops, or all the others."""

    class Stop(xn.Callback):
        def on_epoch_end(self, trainer, row):
            if (trainer.learning_rate == self.rate) is one:
                trainer.stop = "enough"

    def act(stack):
        Stop.rate = stack[2].learning_rate
        fitted(stack, callbacks=Stop())

    return act


def replaced(stack):
    stack.trainers[2] = network(7, "dropout", "adam", jit=stack[2].jit)
    stack.trainers[2].build(X.shape[1])


def own_function(stack):
    for slope in (0.5, 2.0):
        act = Activation(lambda z, slope=slope: slope * z * abs(z))
        assigned(layer(0), "f", act)(stack)
        if slope == 0.5:
            fitted(stack), stack.predict(X), stack.evaluate(X, Y)


def layer(i):
    return lambda trainer: trainer.model.layers[i]


def itself(trainer):
    return trainer


RULE = attrgetter("optimizer")
LOSS = attrgetter("loss_function")
SOME = slice(1, 3)
DATA = np.random.default_rng(8).standard_normal((23, X.shape[1]))
SAME = {  # nothing is recorded again; True: in C too
    "nothing": (nothing, {}, True),
    "other samples": (nothing, {"x": DATA, "y": Y[::-1]}, True),
    "order": (nothing, {"shuffle": False}, False),
    "weights set": (each(halved), {}, False),
    "trained alone": (alone, {}, False),
    "rates": (rates, {}, False),
    "stopped": (stopped(True), {}, True),
    "most stopped": (stopped(False), {}, True),
    "diverged": (infinite, {}, True),
}
CHANGED = {  # what is recorded anew, or may be
    "batch size": (nothing, {"batch_size": 9}, False),
    "full batch": (nothing, {"batch_size": None}, False),
    "rows": (nothing, {"rows": [rows(i + 1) for i in range(MEMBERS)]}, False),
    "sizes": (nothing, {"rows": [np.arange(n) for n in (23, 9, 14, 3, 20)]}, True),
    "weights": (nothing, {"sample_weight": np.linspace(0.0, 2.0, 23)}, False),
    "balanced": (nothing, {"class_weight": "balanced"}, False),
    "validation": (nothing, {"validation": (X, Y)}, True),
    "dropout": (assigned(layer(1), "rate", 0.4, SOME), {}, True),
    "dropout of all": (assigned(layer(1), "rate", 0.4), {}, False),
    "activation": (assigned(layer(0), "f", Activation("tanh")), {}, False),
    "function": (own_function, {}, False),
    "penalty": (assigned(RULE, "l2", 0.1, SOME), {}, False),
    "beta": (assigned(RULE, "beta1", 0.5), {}, False),
    "clipping": (assigned(RULE, "clip_norm", 0.01, SOME), {}, False),
    "smoothing": (assigned(LOSS, "label_smoothing", 0.3), {}, False),
    "loss": (assigned(itself, "loss_function", xn.SoftmaxCrossEntropy(0.2)), {}, False),
    "seed": (assigned(itself, "seed", 77, SOME), {}, False),
    "another network": (replaced, {}, False),
    "another order": (lambda stack: stack.trainers.reverse(), {}, True),
}


def runs(table):
    """Each row by calls, some in C."""
    in_c = [pytest.param(name, True, marks=C.marks) for name in table if table[name][2]]
    return pytest.mark.parametrize(("what", "jit"), [(n, False) for n in table] + in_c)


@runs(SAME)
def test_a_second_fit_records_nothing_and_gives_the_same_bits(what, jit, tapes):
    change, options, _ = SAME[what]
    stack = stack_of(jit)
    for _ in range(2):
        fitted(stack)
        stack.predict(X), stack.evaluate(X, Y)
    change(stack)
    recorded = assert_as_fresh(stack, tapes, **options)
    # Networks that have stopped leave the others to be packed, if not in C.
    assert not recorded or (what in ("stopped", "diverged") and not jit)


@runs(CHANGED)
def test_what_has_changed_is_not_stale(what, jit):
    change, options, _ = CHANGED[what]
    stack = stack_of(jit)
    fitted(stack)
    stack.predict(X), stack.evaluate(X, Y)
    change(stack)
    assert_as_fresh(stack, **options)
    assert_as_fresh(stack)  # and back


def test_programs_that_only_predict_do_not_train():
    trained = stack_of(False)
    fitted(trained)
    stack = xn.Stack(trained.trainers)
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
def test_layers_of_every_kind_go_on(hidden, tapes):
    stack = stack_of(False, hidden, average=xn.WeightAverage(0.9))
    fitted(stack, validation=(X, Y)), stack.predict(X), stack.evaluate(X, Y)
    assert not assert_as_fresh(stack, tapes, validation=(X, Y))


@JIT
def test_threads_may_change(jit, monkeypatch):
    stack = stack_of(jit)
    for threads in (1, 3, 1):
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
