"""Epochs as graphs: the bits of the recorded calls, and nothing of the host in them.

tests/cases.py has each kind of layer, loss and rule; here is what goes on around them.
"""

import gc
from dataclasses import replace

import numpy as np
import pytest

from tests import ways
from tests.cases import RULES
from tests.cuda.fibers import FiberDriver, needs_compiler
from tests.standin import cupy, standin_backend
from tests.training.test_on_a_device import assert_close, data, everything
from tests.training.test_resume import Stop, StopAt
from xpnet.execution.batch import BatchSpec
from xpnet.layers import BatchNorm, Dense, Dropout, Flatten, Sequential
from xpnet.optim import SGD
from xpnet.stack import Stack
from xpnet.training.callbacks import Callback, EarlyStopping, ReduceOnPlateau
from xpnet.training.checkpoint_callback import Checkpoint
from xpnet.training.divergence import DivergenceError
from xpnet.training.runs import read_run
from xpnet.training.trainer import Trainer

pytestmark = [needs_compiler, pytest.mark.slow]
SAMPLES, BATCH = 46, 8  # 5 full batches and one of 6
MSE = "mean_squared_error"


def trainer(device, loss=MSE, optimizer="adam", **options):
    """Statistics, noise and all else that a step of a graph needs, and few kernels."""
    layers = [Flatten(), Dense(6, "relu"), BatchNorm(), Dropout(0.3), Dense(3)]
    options = {"dtype": "float64", "seed": 5, **options}
    return Trainer(Sequential(layers), loss, RULES[optimizer](1), device, **options)


def device(ordinal=0, kind=FiberDriver):
    """A device with a driver that runs on the CPU."""
    return replace(standin_backend(ordinal), driver=kind(ordinal))


def curves(history):
    return np.array([list(row.values()) for row in ways.curves(history)])


def fitted(graph, ordinal=0, optimizer="adam", **fit):
    """All that 3 epochs have changed, `graph` steps to a graph."""
    options = {"dtype": "float32", "steps_per_graph": graph}
    loss = "softmax_cross_entropy"
    trained = trainer(device(ordinal), loss, optimizer, **options)
    x, y = data(loss, samples=SAMPLES)
    history = trained.fit(x, y, **{"epochs": 3, "batch_size": BATCH, **fit})
    return everything(trained) | {"rows": curves(history)}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def assert_same_with_graphs(train, graphs=(0, 4)):
    """`train(steps_per_graph)` gives the same, whatever that number is."""
    wanted = train(graphs[0])
    for number in graphs[1:]:
        assert_same(train(number), wanted)
    return wanted


HOW = {
    "several to a graph": ({}, (0, 1, 4)),
    "all of a rule": ({"optimizer": "sgd with all", "epochs": 2}, (0, 2)),
    "weights": (
        {"sample_weight": np.linspace(0.1, 2, SAMPLES), "class_weight": "balanced"},
        (0, 2),
    ),
    "in order": ({"shuffle": False}, (0, 2)),
    "one batch": ({"batch_size": SAMPLES}, (0, 2)),
    "one and a rest": ({"batch_size": SAMPLES - 2}, (0, 2)),
    "one epoch": ({"epochs": 1}, (0, 2)),
}


@pytest.mark.parametrize("how", HOW)
def test_graphs_give_the_bits_of_the_calls_however_they_are_asked(standin, how):
    options, graphs = HOW[how]
    wanted = assert_same_with_graphs(lambda n: fitted(n, **options), graphs)
    if how == "several to a graph":  # on any device
        assert_same(fitted(2, ordinal=1), wanted)


class Counting(Callback):
    """The counts of each epoch."""

    def __init__(self, standin):
        self.standin, self.epochs, self._before = standin, [], None

    def on_fit_begin(self, trainer):
        self._before = replace(self.standin.counts())

    def on_epoch_end(self, trainer, row):
        now = replace(self.standin.counts())
        before = vars(self._before)
        self.epochs.append({k: v - before[k] for k, v in vars(now).items()})
        self._before = now


@pytest.mark.parametrize(("samples", "together"), [(46, 8), (160, 1), (160, 8)])
def test_a_replayed_epoch_neither_allocates_nor_waits(standin, samples, together):
    trained = trainer(device(), "softmax_cross_entropy", steps_per_graph=together)
    counting = Counting(standin)
    trained.fit(*data(samples=samples), 4, BATCH, callbacks=counting)
    full, rest = divmod(samples, BATCH)
    sizes = {BATCH: full} | ({rest: 1} if rest else {})
    specs = [(BatchSpec((size, 2, 3), True, False), n) for size, n in sizes.items()]
    own = 2 + 1  # x and y; the end of the step
    nodes = sum(
        n * (len(trained.training_step(spec).program) + own) for spec, n in specs
    )
    graphs = full // together + full % together + bool(rest)
    if together == 1:
        graphs = full + bool(rest)
    kept = 1 + 1 + 1 + len(trained.rule.slots)  # statistics, parameters, noise
    for counts in counting.epochs[2:]:  # the short batch is captured in the second
        assert counts == {
            "launches": kept + 2,  # and the step set to 0, its numbers
            "allocations": 0,
            "uploads": 2,  # the order and the numbers of the steps
            "synchronisations": 1,  # for the losses
            "graphs": graphs,
            "nodes": nodes,
            "unsafe": 0,
        }


def test_the_whole_set_as_one_batch_is_gathered_once(standin):
    x, y = data()
    trained, counting = trainer(device(), "softmax_cross_entropy"), Counting(standin)
    trained.fit(x, y, 4, None, callbacks=counting)
    program = trained.training_step(BatchSpec(x.shape, True, False)).program
    assert [counts["nodes"] for counts in counting.epochs[1:]] == [len(program) + 1] * 3


def test_rates_are_those_of_each_step_and_may_change_between_steps_and_fits(standin):
    x, y = data(MSE)

    def train(graph):
        trained = trainer(device(), optimizer="momentum", steps_per_graph=graph)
        trained.step(x[:4], y[:4])  # writes its numbers itself
        watcher = ReduceOnPlateau(monitor="loss", patience=1, min_delta=10.0)
        history = trained.fit(x, y, 8, 4, callbacks=watcher)
        trained.learning_rate = 0.25
        trained.fit(x, y, 1, 4)
        trained.learning_rate = 0.05  # not that which graphs have written
        trained.step(x[:4], y[:4])
        return everything(trained) | {"rates": history["learning_rate"]}

    assert len(set(assert_same_with_graphs(train)["rates"])) > 5


def test_a_step_of_ones_own_loop_is_one_graph(standin):
    def train(graph):
        trained = trainer(device(), dtype="float32", steps_per_graph=graph)
        with trained.backend.active():
            there = [trained.backend.asarray(a) for a in data(MSE)]
        for _ in range(5):
            with standin.counting() as counts:
                trained.step(*there)
        if graph:
            segments = trained.last_step.program.segments
            both = sum(len(segments[name]) for name in ("gradients", "update"))
            assert (counts.graphs, counts.nodes, counts.unsafe) == (1, both, 0)
        return everything(trained) | {"loss": trained.loss}

    assert_same_with_graphs(train, (0, 8))


@pytest.mark.parametrize("name", ["x", "y"])
def test_data_on_the_device_need_not_be_contiguous(standin, name):
    def train(turned):
        trained = trainer(device(), optimizer="sgd")
        there = dict(zip("xy", data(MSE), strict=True))
        with trained.backend.active():
            for key, values in there.items():
                there[key] = trained.backend.asarray(values)
                if turned and key == name:
                    there[key] = trained.backend.asarray(values.T.copy()).T
        trained.fit(**there, epochs=2, batch_size=BATCH)
        return everything(trained)

    assert_same(train(True), train(False))


@pytest.mark.parametrize("together", [1, 4])
def test_the_doctor_looks_between_graphs(standin, together):
    def train(graph):
        trained = trainer(device(), optimizer="momentum", steps_per_graph=graph)
        with standin.counting() as counts:
            how = {"verbose": False, "diagnose": True}
            history = trained.fit(*data(MSE, samples=160), 3, BATCH, **how)
        assert bool(counts.graphs) == bool(graph)
        looks = np.array(history.diagnosis.steps)
        assert len(looks) > 3
        return everything(trained) | {"rows": curves(history), "looks": looks}

    assert_same_with_graphs(train, (0, together))


def test_replays_amid_other_work(standin):
    """Arrays come and go between epochs, other programs run: the bits stay."""

    class Busy(Callback):
        def on_epoch_end(self, trainer, row):
            self.kept = [cupy.zeros((n,), np.float64) + n for n in range(1, 9)]
            trainer.evaluate(x[:5], y[:5])
            gc.collect(0)

    x, y = data(MSE)

    def train(graph):
        trained = trainer(device(), steps_per_graph=graph, dtype="float32")
        with standin.counting() as counts:
            trained.fit(x, y, epochs=5, batch_size=2, callbacks=Busy())
        assert trained.steps_done == 5 * 23
        assert not graph or counts.graphs > 40
        return everything(trained)

    assert_same_with_graphs(train, (0, 8))


def on_the_cpu(epochs):
    trained = trainer("cpu")
    trained.fit(*data(MSE), epochs, BATCH)
    return everything(trained)


# Stacks, and trainings that were stopped.


def stack_of(graph, where=None):
    """What 3 epochs of networks side by side have changed."""
    made = [trainer(where or device(), steps_per_graph=graph, seed=i) for i in range(3)]
    Stack(made).fit(*data(MSE), 3, BATCH, verbose=False)
    return [everything(one) | {"rows": curves(one.history)} for one in made]


def test_steps_of_a_stack_are_one_graph_each_with_the_bits_of_the_calls(standin):
    with standin.counting() as plain:
        wanted = stack_of(0)
    with standin.counting() as graphs:
        found = stack_of(8)
    for a, b, c in zip(found, wanted, stack_of(8, "cpu"), strict=True):
        assert_same(a, b)
        assert_close(a, c, 1e-11)
    # 3 epochs of 6 steps, of which the first of each size is made of calls.
    assert (plain.graphs, graphs.graphs) == (0, 3 * 6 - 2)
    assert graphs.launches < 0.5 * plain.launches


@pytest.mark.parametrize(("graph", "stop"), [(0, 4), (4, 1), (4, 7)])
def test_a_training_that_was_stopped_within_an_epoch_ends_alike(
    standin, graph, stop, tmp_path
):
    watch = {"callbacks": [EarlyStopping("loss")]}
    wanted = fitted(graph, **watch)
    keep = StopAt(tmp_path, stop, every=1, unit="steps")
    with pytest.raises(Stop):
        fitted(graph, callbacks=[EarlyStopping("loss"), keep])
    assert read_run(tmp_path).rows[0]["steps_done"] == stop
    for _ in ("going on", "as it had ended"):
        assert_same(fitted(graph, resume=tmp_path, **watch), wanted)


@pytest.mark.parametrize("graph", [0, 4])
def test_a_training_that_goes_on_diverges_at_the_same_step(standin, graph, tmp_path):
    def fit(*callbacks):
        model = Sequential([Dense(8), Dense(1)])
        t = Trainer(model, MSE, SGD(30.0), device(), "float32")
        t.steps_per_graph = graph
        x, y = np.ones((SAMPLES, 3)), np.zeros((SAMPLES, 1))
        resume = tmp_path if callbacks else None
        t.fit(x, y, 5, BATCH, callbacks=callbacks, resume=resume)

    with pytest.raises(DivergenceError) as straight:
        fit()
    with pytest.raises(Stop):
        fit(StopAt(tmp_path, 2, every=1, unit="steps"))
    with pytest.raises(DivergenceError) as again:
        fit(Checkpoint(tmp_path))
    assert str(again.value) == str(straight.value)
