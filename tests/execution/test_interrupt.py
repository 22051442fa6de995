"""Ctrl-C: training ends after the current step, and nothing is lost."""

import signal
import threading
from contextlib import contextmanager

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES, data
from tests.training.examples import trainer, weights
from tests.training.test_callbacks import Curve, Do, Log
from tests.ways import curves, same
from xpnet.training.data import Orders

STEPS = 5  # of an epoch: 23 samples, 5 a batch


def ctrl_c(times=1):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def at(epoch, times=1):
    """A callback that presses Ctrl-C at the end of `epoch`."""
    return Do(lambda trainer, now: ctrl_c(times) if now == epoch else None)


@pytest.fixture(autouse=True)
def handler():
    """Every test must leave the handler as it was, and pressing it raises again."""
    around = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, around)


@pytest.mark.parametrize("hidden", ["dense", "dropout", "batch norm"])
def test_training_ends_after_the_current_step(hidden):
    x, y = data()
    t, other = trainer(hidden), trainer(hidden)
    history = t.fit(x, y, 9, 5, callbacks=[at(2)])
    assert history.stopped == "interrupted in epoch 3 after batch 1"
    assert history is t.history
    assert (len(history), t.steps_done) == (3, 2 * STEPS + 1)
    before = other.fit(x, y, 2, 5)
    rows = Orders(0, 5).of(2, SAMPLES)[:5]
    other.step(x[rows], y[rows])
    assert same(weights(t), weights(other))
    assert curves(history)[:2] == curves(before)
    assert history["loss"][2] == pytest.approx(other.loss, rel=1e-6)


def test_a_step_that_has_begun_is_finished():
    class Press(xn.Layer):
        steps = 0

        def forward(self, x, training):
            self.steps += training
            if training and self.steps == 7:
                ctrl_c()
            return x

        def backward(self, delta):
            return delta

    x, y = data()
    layers = [xn.Dense(8, activation="tanh"), Press(), xn.Dense(3)]
    t = xn.Trainer(
        xn.Sequential(layers), "softmax_cross_entropy", "sgd", "cpu", eager=True
    )
    history = t.fit(x, y, 3, 5)
    assert t.steps_done == 7
    assert history.stopped == "interrupted in epoch 2 after batch 2"


def test_a_metric_may_be_interrupted():
    calls = []

    def press(p, target, weights):
        calls.append(p)
        if len(calls) > 1:  # the first is the trial before training
            ctrl_c()
        return 0.5

    x, y = data()
    t = trainer(metrics=press)
    history = t.fit(x, y, 3, 5, validation=(x, y))
    assert history["val_press"] == [0.5]
    assert history.stopped == "interrupted in epoch 2 after batch 1"
    assert len(str(history).splitlines()) == 3


def test_the_best_weights_come_back_after_an_interruption():
    x, y = data()
    log, t = Log([]), trainer("batch norm")
    values = [3.0, 1.0, 2.0, 2.5]
    history = t.fit(
        x, y, 9, 5, callbacks=[Curve(values), log, xn.EarlyStopping(), at(4)]
    )
    assert len(history) == 5
    assert len(log.weights) == 4  # the epoch that was cut short has no end
    assert same(weights(t), log.weights[1])
    assert log.log[-1] == ("log", "end")


def test_a_second_press_ends_training_at_once():
    x, y = data()
    log, t = Log([]), trainer()
    with pytest.raises(KeyboardInterrupt):
        t.fit(x, y, 9, 5, callbacks=[log, at(2, times=2)])
    assert len(t.history) == 2
    assert same(weights(t), log.weights[1])
    assert log.log[-1] == ("log", "end")


@pytest.mark.parametrize("end", ["last epoch", "stop", "error", "interrupt"])
def test_the_handler_is_put_back(end, handler):
    def act(trainer, epoch):
        assert signal.getsignal(signal.SIGINT) is not handler
        if end == "stop":
            trainer.stop = "enough"
        elif end == "error":
            raise LookupError
        elif end == "interrupt" and epoch == 1:
            ctrl_c()

    x, y = data()
    if end == "error":
        with pytest.raises(LookupError):
            trainer().fit(x, y, 2, 5, callbacks=Do(act))
    else:
        trainer().fit(x, y, 2, 5, callbacks=Do(act))
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_training_goes_on_after_an_interruption():
    x, y = data()
    t = trainer()
    t.fit(x, y, 9, 5, callbacks=[at(1)])
    history = t.fit(x, y, 2, 5)
    assert (len(history), history.stopped) == (2, "")
    assert t.steps_done == STEPS + 1 + 2 * STEPS


def test_training_runs_outside_the_main_thread():
    x, y = data()
    t, other = trainer(), trainer()
    thread = threading.Thread(target=t.fit, args=(x, y, 2, 5))
    thread.start()
    thread.join()
    other.fit(x, y, 2, 5)
    assert same(weights(t), weights(other))


def test_samples_of_weight_zero_may_be_all_that_was_seen():
    x, y = data()
    w = np.zeros(SAMPLES)
    w[-1] = 1.0
    t = trainer()
    history = t.fit(x, y, 9, 5, sample_weight=w, shuffle=False, callbacks=[at(1)])
    assert history.stopped == "interrupted in epoch 2 after batch 1"
    assert t.steps_done == STEPS + 1


@contextmanager
def the_program_sets(handler):
    """Within the block the program has set this handler of its own, or None."""
    around = signal.signal(signal.SIGINT, handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, around)


def fit(callback):
    x, y = data()
    return trainer().fit(x, y, 4, 5, callbacks=callback)


def fit_stack(callback):
    x, y = data()
    return xn.Stack([trainer()]).fit(x, y, 4, 5, callbacks=callback)[0]


def minimize(callback):
    x, y = data()
    return xn.minimize(trainer(), x, y, steps=4, callbacks=callback)


RUNS = [fit, fit_stack, minimize]


@pytest.mark.parametrize("run", RUNS)
def test_a_handler_of_the_program_is_called_and_decides(run):
    seen = []
    with the_program_sets(lambda number, frame: seen.append(number)):
        history = run(at(2))
    assert seen == [signal.SIGINT]
    assert (len(history), history.stopped) == (4, "")

    def leave(number, frame):
        raise SystemExit(3)

    with the_program_sets(leave), pytest.raises(SystemExit, match="3"):
        run(at(2))


@pytest.mark.parametrize("run", RUNS)
def test_an_ignored_signal_stays_ignored(run):
    with the_program_sets(signal.SIG_IGN):
        history = run(at(2, times=3))
    assert (len(history), history.stopped) == (4, "")


def test_a_handler_that_is_set_while_training_stays():
    def mine(number, frame):
        pass

    fit(Do(lambda trainer, epoch: signal.signal(signal.SIGINT, mine)))
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is mine


def test_a_fit_within_a_fit_ends_both():
    x, y = data()
    inner = trainer()

    def train(outer, epoch):
        inner.fit(x, y, 4, 5, callbacks=at(1))

    history = fit(Do(train))
    assert inner.history.stopped.startswith("interrupted in epoch 2")
    assert history.stopped.startswith("interrupted in epoch 2")
