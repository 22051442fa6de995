"""Each network of a stack is the network trained alone."""

import os
import signal

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, LAYERS, data, in_turns
from tests.standin import standin_backend
from tests.training.examples import network, weights
from tests.ways import (
    TOLERANCE,
    assert_close,
    assert_same_curves,
    everything,
    held,
    rows,
    same,
)
from xpnet.compiler import can_compile
from xpnet.execution.interrupt import Interrupt
from xpnet.stack import fit as together
from xpnet.stack.kept import Kept
from xpnet.stack.memory import network_bytes
from xpnet.stack.network import Network
from xpnet.stack.placement import group_of
from xpnet.training.data import Samples

MEMBERS = 5
BATCH = 7  # the last batches have 3, 4 and 5 samples


def assert_equal_alone(make, x, y, dtype, epochs, members=MEMBERS, **options):
    """A stack of `make(i)` against each of them alone."""
    own = [rows(i) for i in range(members)]
    kept = [held(i) for i in range(members)]
    stack = xn.Stack([make(i, dtype=dtype) for i in range(members)])
    histories = stack.fit(
        x, y, epochs, BATCH, rows=own, validation_rows=kept, verbose=False, **options
    )
    for i in range(members):
        alone = make(i, dtype=dtype)
        history = alone.fit(
            x[own[i]], y[own[i]], epochs, BATCH, validation=(x[kept[i]], y[kept[i]]),
            verbose=False, **options,
        )  # fmt: skip
        tolerance = TOLERANCE[dtype]
        assert_close(everything(stack[i]), everything(alone), tolerance)
        assert_same_curves(histories[i], history, 10 * tolerance)


# Over 102 steps; what tests/cases.py holds goes over 9.
LONG = [
    ("dense", "sgd", "float32"),
    ("dense", "adamw", "float64"),
    ("dropout", "momentum", "float64"),
    ("dropout", "adam", "float32"),
    ("batch norm", "nesterov", "float32"),
]


@pytest.mark.parametrize(("hidden", "rule", "dtype"), LONG)
def test_each_network_is_the_one_trained_alone(hidden, rule, dtype):
    x, y = data()
    assert_equal_alone(lambda i, **o: network(i, hidden, rule, **o), x, y, dtype, 34)


@pytest.mark.parametrize("hidden", ["dense", "batch norm"])
def test_averages_are_followed_and_predict(hidden):
    x, y = data()

    def make(i, **options):
        average = xn.WeightAverage(0.5 + 0.1 * i, start=i)
        return network(i, hidden, "momentum", average=average, **options)

    assert_equal_alone(make, x, y, "float64", 4)
    stack = xn.Stack([make(i, dtype="float64") for i in range(3)])
    untrained = stack.predict(x)
    stack.fit(x, y, 2, BATCH, verbose=False)
    p = stack.predict(x)
    for i in range(3):
        np.testing.assert_allclose(p[i], stack[i].predict(x), rtol=0, atol=1e-12)
        wanted = make(i, dtype="float64")
        wanted.build(FEATURES)
        np.testing.assert_allclose(untrained[i], wanted.predict(x), atol=1e-12)
    with stack[1].averaged(), pytest.raises(ValueError, match="averaged: leave"):
        stack.fit(x, y, 1, BATCH, verbose=False)


@pytest.mark.parametrize("options", [
    {"sample_weight": np.linspace(0.0, 2.0, 23)},
    {"class_weight": {0: 3.0, 2: 0.5}},
    {"class_weight": "balanced"},
    {"class_weight": "balanced", "sample_weight": np.linspace(0.0, 2.0, 23)},
    {"shuffle": False},
], ids=["sample", "class", "balanced", "both", "in order"])  # fmt: skip
def test_weights_and_order_are_those_of_each_network(options):
    x, y = data()
    xv, yv = data(samples=11, seed=1)
    own = [rows(i) for i in range(MEMBERS)]
    stack = xn.Stack([network(i, dtype="float64") for i in range(MEMBERS)])
    histories = stack.fit(
        x, y, 4, BATCH, own, (xv, yv, np.linspace(1, 2, 11)), verbose=False, **options
    )
    for i in range(MEMBERS):
        alone, mine = network(i, dtype="float64"), dict(options)
        if "sample_weight" in mine:
            mine["sample_weight"] = mine["sample_weight"][own[i]]
        history = alone.fit(
            x[own[i]], y[own[i]], 4, BATCH, (xv, yv, np.linspace(1, 2, 11)),
            verbose=False, **mine,
        )  # fmt: skip
        assert_close(everything(stack[i]), everything(alone), 1e-12)
        assert_same_curves(histories[i], history, 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["dropout", "batch norm"])
@pytest.mark.skipif(not can_compile(), reason="no C compiler")
def test_compiled_loops_change_nothing(hidden):
    x, y = data()
    assert_equal_alone(
        lambda i, **o: network(i, hidden, "adam", jit=True, **o), x, y, "float32", 4,
        members=2,
    )  # fmt: skip


@pytest.mark.parametrize("jit", [None, True])
def test_threads_change_nothing(monkeypatch, jit):
    x, y = data()
    own = [rows(i) for i in range(7)]
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(together, "workers", lambda members, n=threads: n)
        stack = xn.Stack([network(i, "dropout", "adam", jit=jit) for i in range(7)])
        stack.fit(
            x, y, 6, BATCH, own, validation_rows=own, verbose=False,
            callbacks=xn.EarlyStopping(patience=1),
        )  # fmt: skip
        found.append([everything(trainer) for trainer in stack.trainers])
    for a, b in zip(*found, strict=True):
        assert_close(a, b, 1e-6)


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
    x, y = data()
    xn.Stack([network(i) for i in range(2)]).fit(x, y, 9, BATCH, verbose=False)
    assert len(told) == 2, "full batches and the last one"
    assert all(0.0 < seconds < 60.0 for seconds in told)


def test_a_callback_may_change_the_weights():
    class Halve(xn.Callback):
        def on_epoch_end(self, trainer, row):
            for array in trainer.parameters().values():
                array[...] = array * 0.5

    x, y = data()
    stack = xn.Stack([network(i) for i in range(3)])
    stack.fit(x, y, 3, BATCH, callbacks=Halve(), verbose=False)
    for i in range(3):
        alone = network(i)
        alone.fit(x, y, 3, BATCH, callbacks=[Halve()], verbose=False)
        assert_close(everything(stack[i]), everything(alone), 1e-6)


def test_networks_may_see_very_different_numbers_of_samples():
    x, y = data(samples=60)
    sizes = [60, 7, 31, 31, 14, 9]
    stack = xn.Stack([network(i, "dropout", "momentum") for i in range(6)])
    stack.fit(x, y, 5, 10, [np.arange(n) for n in sizes], verbose=False)
    for i, n in enumerate(sizes):
        alone = network(i, "dropout", "momentum")
        alone.fit(x[:n], y[:n], 5, min(10, n), verbose=False)
        assert stack[i].steps_done == 5 * -(-n // 10)
        assert_close(everything(stack[i]), everything(alone), 1e-6)


def test_samples_may_be_drawn_more_than_once():
    x, y = data()
    draw = np.array([3, 3, 3, 0, 22, 22, 9, 1])
    stack = xn.Stack([network(0)])
    stack.fit(x, y, 3, 4, [draw], verbose=False)
    alone = network(0)
    alone.fit(x[draw], y[draw], 3, 4, verbose=False)
    assert_close(everything(stack[0]), everything(alone), 1e-6)


@pytest.mark.parametrize("batch_size", [None, 23, 1])
def test_full_batches_and_single_samples(batch_size):
    x, y = data()
    stack = xn.Stack([network(i, dtype="float64") for i in range(3)])
    stack.fit(x, y, 2, batch_size, verbose=False)
    for i in range(3):
        alone = network(i, dtype="float64")
        alone.fit(x, y, 2, batch_size, verbose=False)
        assert_close(everything(stack[i]), everything(alone), 1e-12)


# Networks that stop early.


def test_a_network_that_stops_leaves_the_others_as_they_were():
    x, y = data(samples=40)

    def patience():
        return [xn.EarlyStopping(patience=2), xn.ReduceOnPlateau(patience=1)]

    def make(i):
        rule = xn.SGD([1.5, 0.02, 0.8, 0.1][i % 4])
        return network(i, "batch norm", rule, dtype="float64")

    own = [rows(i, 40) for i in range(8)]
    kept = [held(i, 40) for i in range(8)]
    stack = xn.Stack([make(i) for i in range(8)])
    histories = stack.fit(
        x, y, 30, BATCH, own, validation_rows=kept, callbacks=patience(), verbose=False
    )
    lengths = set()
    for i in range(8):
        alone = make(i)
        history = alone.fit(
            x[own[i]], y[own[i]], 30, BATCH, validation=(x[kept[i]], y[kept[i]]),
            callbacks=patience(), verbose=False,
        )  # fmt: skip
        lengths.add(len(history))
        assert_close(everything(stack[i]), everything(alone), 1e-12)
        assert_same_curves(histories[i], history, 1e-11)
        assert stack[i].learning_rate == alone.learning_rate
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


@pytest.mark.parametrize("rule", ["adam", "momentum"])
def test_a_frozen_network_is_equal_bit_by_bit_to_what_it_was(rule):
    x, y = data()
    stack = xn.Stack([network(2 * i, "dropout", rule) for i in range(6)])
    watch = Watch({0: 2, 3: 3})
    watch.seen.clear()
    histories = stack.fit(x, y, 6, BATCH, callbacks=watch, verbose=False)
    assert [len(h) for h in histories] == [2, 6, 6, 3, 6, 6]
    for i in (0, 3):
        assert same(everything(stack[i]), watch.seen[i])
        assert histories[i].stopped == "enough"


def test_a_network_that_diverges_is_left_before_that_step_and_the_others_go_on():
    x, y = data("values")
    rates = [0.05, 1e30, 0.1, 3e3]

    def make(i):
        return network(i, "batch norm", xn.SGD(rates[i]), "mean_squared_error")

    stack = xn.Stack([make(i) for i in range(4)])
    histories = stack.fit(x, y, 12, BATCH, verbose=False)
    assert set(stack.errors) == {1, 3}
    for i in range(4):
        alone = make(i)
        if i in stack.errors:
            with pytest.raises(xn.DivergenceError) as caught:
                alone.fit(x, y, 12, BATCH, verbose=False)
            assert str(stack.errors[i]) == str(caught.value)
            assert histories[i].stopped == f"diverged: {caught.value}"
        else:
            alone.fit(x, y, 12, BATCH, verbose=False)
        assert_close(everything(stack[i]), everything(alone), 1e-6)
        assert np.isfinite(everything(stack[i])["params"]).all()
    assert len(histories[0]) == len(histories[2]) == 12


def test_a_row_that_diverged_is_finite_afterwards():
    """Else each later step would be looked at row by row."""
    x, y = data("values")
    trainers = [
        network(i, "dense", xn.SGD([0.1, 1e30][i]), "mean_squared_error")
        for i in range(2)
    ]
    samples = Samples(trainers[0], x, y)
    for trainer in trainers:
        trainer.build(FEATURES)
    members = [Network(t, np.arange(23)) for t in trainers]
    group = group_of(members, Kept(), samples, BATCH, True)
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

    x, y = data()
    stack = xn.Stack([network(i) for i in range(3)])
    histories = stack.fit(x, y, 9, BATCH, callbacks=Press(), verbose=False)
    for i, history in enumerate(histories):
        assert history.stopped == "interrupted in epoch 3 after batch 1"
        assert stack[i].steps_done == 2 * 4 + 1
        assert np.isfinite(everything(stack[i])["params"]).all()


# Members are ordinary trainers.


def test_a_stack_goes_on_where_its_trainers_are():
    """Trained apart, together, in another order, apart: as if always apart."""
    x, y = data()
    together, apart = ([network(i, "dropout", "adam") for i in range(4)] for _ in "ab")
    together[1].fit(x, y, 1, BATCH, verbose=False)
    apart[1].fit(x, y, 1, BATCH, verbose=False)
    xn.Stack(together).fit(x, y, 2, BATCH, verbose=False)
    xn.Stack(together[::-1]).fit(x, y, 1, BATCH, verbose=False)
    together[2].step(x[:5], y[:5])
    apart[2].step(x[:5], y[:5])
    for i in range(4):
        if i != 2:
            apart[i].fit(x, y, 3, BATCH, verbose=False)
    apart[2] = network(2, "dropout", "adam")
    apart[2].fit(x, y, 3, BATCH, verbose=False)
    apart[2].step(x[:5], y[:5])
    for a, b in zip(together, apart, strict=True):
        assert_close(everything(a), everything(b), 2e-6)


def test_a_member_is_saved_and_loaded(tmp_path):
    x, y = data()
    stack = xn.Stack([network(i, "dropout", "adam") for i in range(3)])
    stack.fit(x, y, 2, BATCH, verbose=False)
    stack[1].save(tmp_path)
    again = xn.Trainer.load(tmp_path, "cpu")
    assert same(weights(again), weights(stack[1]))
    again.fit(x, y, 1, BATCH, verbose=False)
    stack[1].fit(x, y, 1, BATCH, verbose=False)
    assert same(weights(again), weights(stack[1]))


@pytest.mark.parametrize("hidden", ["batch norm", "dropout"])
def test_predictions_and_scores_are_those_of_each_network(hidden):
    x, y = data(samples=51)
    stack = xn.Stack([network(i, hidden, dtype="float64") for i in range(4)])
    stack.fit(x, y, 2, BATCH, verbose=False)
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


def test_what_does_not_fit_is_trained_in_several_stacks():
    x, y = data()
    found = []
    for memory in (None, 60_000):
        stack = xn.Stack([network(i, "dropout", "adam") for i in range(7)])
        stack.fit(x, y, 3, BATCH, memory=memory, verbose=False)
        found.append([everything(t) for t in stack.trainers])
    for a, b in zip(*found, strict=True):
        assert_close(a, b, 1e-6)


@pytest.mark.parametrize(("hidden", "jit"), in_turns(LAYERS, [False, True]))
def test_a_stack_takes_no_more_memory_than_was_estimated(hidden, jit):
    if jit and not can_compile():
        pytest.skip("no C compiler")
    x, y = data(samples=60)
    trainers = [network(i, hidden, "adam", jit=jit) for i in range(9)]
    samples = Samples(trainers[0], x, y)
    for trainer in trainers:
        trainer.build(FEATURES)
    one = network_bytes(trainers[0], samples, 16)
    members = [Network(t, np.arange(60 - i % 2)) for i, t in enumerate(trainers)]
    group = group_of(members, Kept(), samples, 16, True)
    group.record()
    buffers = group.parameters.buffers
    taken = sum(a.nbytes for a in (buffers.params, buffers.grads, buffers.state))
    taken += sum(slot.nbytes for slot in group.parameters.slots.values())
    for step in group.parameters.recorded:
        batch = step.batch
        taken += step.program.nbytes + batch.x.nbytes + batch.y.nbytes
    assert taken < 9 * one < 20 * taken


def test_progress_is_told_of_each_network_and_epoch(capsys):
    x, y = data()
    told = []
    stack = xn.Stack([network(i) for i in range(3)])
    stack.fit(x, y, 4, BATCH, progress=told.append, verbose=False)
    assert sum(told) == 12
    assert capsys.readouterr() == ("", "")


# On a device.


@pytest.mark.parametrize(("hidden", "rule", "ordinal", "dtype"), [
    ("dropout", "sgd", 0, "float64"), ("batch norm", "momentum", 1, "float32"),
    ("layer norm", "nesterov", 1, "float64"), ("noise", "adamw", 0, "float32"),
])  # fmt: skip
def test_a_device_does_what_the_cpu_does(standin, hidden, rule, ordinal, dtype):
    x, y = data()
    own = [rows(i) for i in range(MEMBERS)]
    epochs = {"float32": 1, "float64": 3}[dtype]
    found = []
    for device in (standin_backend(ordinal), "cpu"):
        stack = xn.Stack(
            [network(i, hidden, rule, device=device, dtype=dtype) for i in range(5)]
        )
        histories = stack.fit(
            x, y, epochs, BATCH, own, validation_rows=own, class_weight="balanced",
            callbacks=xn.EarlyStopping(patience=1), verbose=False,
        )  # fmt: skip
        found.append((stack, histories, stack.predict(x), stack.evaluate(x, y, own)))
    tolerance = 10 * TOLERANCE[dtype]
    for i in range(MEMBERS):
        assert_close(everything(found[0][0][i]), everything(found[1][0][i]), tolerance)
        assert_same_curves(found[0][1][i], found[1][1][i], tolerance)
        assert found[0][3][i] == pytest.approx(found[1][3][i], abs=tolerance)
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=0, atol=tolerance)


def test_a_step_on_a_device_uploads_nothing_and_waits_for_nothing(standin):
    x, y = data()
    trainers = [
        network(i, "dropout", "adam", device=standin_backend()) for i in range(3)
    ]
    samples = Samples(trainers[0], x, y)
    for trainer in trainers:
        trainer.build(FEATURES)
    counts = []
    for batch in (23, 2):  # 1 step and 12 steps an epoch
        members = [Network(t, np.arange(22)) for t in trainers]
        group = group_of(members, Kept(), samples, min(batch, 22), True)
        group.record()
        with standin.counting() as count:
            group.epoch(Interrupt())
        counts.append((count.allocations, count.uploads, count.synchronisations))
    assert counts[0] == counts[1]


def test_divergence_on_a_device_goes_back_to_before_the_epoch(standin):
    x, y = data("values")
    rates = [0.05, 3e3, 0.1]

    def make(i):
        rule, device = xn.SGD(rates[i]), standin_backend()
        return network(i, "dense", rule, "mean_squared_error", device=device)

    stack = xn.Stack([make(i) for i in range(3)])
    stack.fit(x, y, 40, BATCH, verbose=False)
    alone = make(1)
    with pytest.raises(xn.DivergenceError, match="step") as caught:
        alone.fit(x, y, 40, BATCH, verbose=False)
    assert str(caught.value) == str(stack.errors[1])
    assert_close(everything(stack[1]), everything(alone), 1e-6)
    assert np.isfinite(everything(stack[0])["params"]).all()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("where", [4, 12, 21])
def test_divergence_on_a_device_is_told_of_as_on_the_cpu(standin, where, balanced):
    """With the layer that the bad batch overflows, wherever in the epoch it is."""
    x, y = data()
    x = x.astype(np.float32)
    x[where] = 3e38
    own = [np.arange(23), np.delete(np.arange(23), [0, where]), np.arange(2, 23)]
    how = {"rows": own, "class_weight": "balanced" if balanced else None}
    told = []
    for device in (standin_backend(), "cpu"):
        stack = xn.Stack([network(i, "batch norm", device=device) for i in range(3)])
        for trainer in stack:
            trainer.build(FEATURES)
        before = everything(stack[0])
        stack.fit(x, y, 1, BATCH, **how, shuffle=False, verbose=False)
        told.append({i: str(error) for i, error in stack.errors.items()})
        if device != "cpu":
            assert_close(everything(stack[0]), before, 0.0)
    assert list(told[0]) == [0, 2]
    assert told[0] == told[1]
    assert f"at step {where // BATCH + 1}: the loss is nan" in told[0][0]
    assert "its output overflows (its input reaches 3e+38)" in told[0][0]


# What cannot be.


@pytest.mark.parametrize(("other", "message"), [
    (lambda: network(1, "deep"), "layers: networks 0 and 1 have 2 and 4"),
    (lambda: network(1, "activation"), "layers"),
    (lambda: network(1, rule="adam"), "optimizer: .* 0 and 1 have 'SGD' and 'Adam'"),
    (lambda: network(1, rule="nesterov"), "optimizer: nesterov"),
    (lambda: network(1, loss="mean_squared_error"), "loss"),
    (lambda: network(1, dtype="float64"), "dtype"),
    (lambda: network(1, metrics="top_3"), "metrics"),
])  # fmt: skip
def test_networks_of_two_kinds_are_refused_by_the_name_of_the_setting(other, message):
    with pytest.raises(ValueError, match=message):
        xn.Stack([network(0), other()])


def test_other_widths_are_refused():
    wide = xn.Trainer(
        xn.Sequential([xn.Dense(9, "tanh"), xn.Dense(3)]), "softmax_cross_entropy",
        xn.SGD(0.1), "cpu",
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"layer 0: units: .* 8 and 9; train them in two"
    ):
        xn.Stack([network(0), wide])


@pytest.mark.parametrize(("trainers", "error", "message"), [
    (lambda: [], ValueError, "at least one"),
    (lambda: network(0), TypeError, "list of Trainers"),
    (lambda: [network(0).model], TypeError, "position 0"),
    (lambda: [network(0), network(1, eager=True)], ValueError, "eager"),
    (lambda: [t := network(0), xn.Trainer(t.model, "huber", device="cpu")], ValueError,
     "share one Sequential"),
])  # fmt: skip
def test_what_is_no_list_of_networks_is_refused(trainers, error, message):
    with pytest.raises(error, match=message):
        xn.Stack(trainers())


@pytest.mark.parametrize(("options", "message"), [
    ({"epochs": 0}, "epochs"),
    ({"batch_size": 0}, "batch_size"),
    ({"rows": [np.arange(3)]}, "rows: expected a list of 2"),
    ({"rows": [np.arange(3), np.array([], int)]}, "network 1"),
    ({"rows": [np.arange(3), np.array([23])]}, "0..22, got 23 for network 1"),
    ({"rows": [np.arange(3), -np.arange(3)]}, "got -2"),
    ({"rows": [np.arange(3), np.ones(3, bool)]}, "flatnonzero"),
    ({"validation_rows": [np.arange(3)]}, "validation_rows"),
    ({"memory": 100}, "memory: expected at least the"),
    ({"memory": -1}, "memory"),
    ({"class_weight": "even"}, "'balanced'"),
])  # fmt: skip
def test_unfit_arguments_are_refused_and_lose_nothing(options, message):
    x, y = data()
    stack = xn.Stack([network(i) for i in range(2)])
    stack.fit(x, y, 1, BATCH, verbose=False)
    before = [everything(t) for t in stack.trainers]
    with pytest.raises(ValueError, match=message):
        stack.fit(x, y, **{"batch_size": BATCH, "verbose": False, **options})
    assert all(
        same(everything(t), b) for t, b in zip(stack.trainers, before, strict=True)
    )


def test_a_validation_that_is_no_pair_is_refused():
    x, y = data()
    with pytest.raises(TypeError, match="validation: expected"):
        xn.Stack([network(0)]).fit(x, y, validation=[x, y])


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
        alone = network(i)
        alone.fit(x, y, 2, BATCH, verbose=False)
        assert_close(everything(stack[i]), everything(alone), 1e-6)
