"""Epochs as graphs: the bits of the recorded calls, and nothing of the host in them."""

import gc
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests import ways
from tests.cases import RULES
from tests.cuda.fibers import FiberDriver, needs_compiler
from tests.standin import cupy, standin_backend
from tests.training.test_on_a_device import (
    assert_close,
    data,
    everything,
)
from tests.training.test_resume import Stop, StopAt
from xpnet.backend import DeviceError
from xpnet.execution.step import BatchSpec
from xpnet.layers import BatchNorm, Dense, Dropout, Flatten, Sequential
from xpnet.optim import SGD, ExponentialDecay, WeightAverage
from xpnet.stack import Stack
from xpnet.training.callbacks import Callback, EarlyStopping, ReduceOnPlateau
from xpnet.training.checkpoint_callback import Checkpoint
from xpnet.training.divergence import DivergenceError
from xpnet.training.runs import read_run
from xpnet.training.trainer import Trainer

pytestmark = [needs_compiler, pytest.mark.slow]
SAMPLES, BATCH = 46, 8  # 5 full batches and one of 6


def trainer(device, loss="softmax_cross_entropy", optimizer="adam", **options):
    """Statistics, noise and all else that a step of a graph needs, and few kernels."""
    layers = [Flatten(), Dense(6, "relu"), BatchNorm(), Dropout(0.3), Dense(3)]
    options = {"dtype": "float64", "seed": 5, **options}
    return Trainer(Sequential(layers), loss, RULES[optimizer](1), device, **options)


def device(ordinal=0):
    """A device with a driver that runs on the CPU."""
    return replace(standin_backend(ordinal), driver=FiberDriver(ordinal))


def fitted(graph, loss="softmax_cross_entropy", optimizer="adam", ordinal=0, **fit):
    """A trainer after 3 epochs, and all that they have changed."""
    options = {"dtype": "float32", "steps_per_graph": graph}
    trained = trainer(device(ordinal), loss, optimizer, **options)
    x, y = data(loss, samples=SAMPLES)
    history = trained.fit(x, y, **{"epochs": 3, "batch_size": BATCH, **fit})
    return trained, everything(trained) | {"rows": np.array(curves(history))}


def curves(history):
    return [list(row.values()) for row in ways.curves(history)]


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd with all"])
def test_graphs_give_the_bits_of_the_calls(standin, optimizer):
    """One step or several to a graph; tests/cases.py has other networks and losses."""
    _, wanted = fitted(0, optimizer=optimizer)
    for together in (1, 4):
        _, found = fitted(together, optimizer=optimizer)
        assert_same(found, wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": np.linspace(0.1, 2.0, SAMPLES), "class_weight": "balanced"},
        {"shuffle": False},
        {"batch_size": SAMPLES},
        {"batch_size": SAMPLES - 2},
        {"batch_size": 4, "epochs": 2},
        {"epochs": 1},
    ],
    ids=str,
)
def test_graphs_give_the_bits_of_the_calls_however_they_are_asked(standin, options):
    _, wanted = fitted(0, **options)
    _, found = fitted(2, **options)
    assert_same(found, wanted)


def test_graphs_run_on_any_device(standin):
    _, wanted = fitted(2)
    _, found = fitted(2, ordinal=1)
    assert_same(found, wanted)


def test_the_training_is_that_of_the_cpu(standin):
    x, y = data("mean_squared_error", samples=SAMPLES)
    found = []
    for backend in (device(), "cpu"):
        trained = trainer(backend, "mean_squared_error", "momentum")
        trained.fit(x, y, epochs=3, batch_size=BATCH)
        found.append(everything(trained))
    assert_close(*found, "float64")


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
    x, y = data("softmax_cross_entropy", samples=samples)
    trained = trainer(device(), steps_per_graph=together)
    counting = Counting(standin)
    trained.fit(x, y, epochs=4, batch_size=BATCH, callbacks=counting)
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
    x, y = data("softmax_cross_entropy")
    trained = trainer(device())
    counting = Counting(standin)
    trained.fit(x, y, epochs=4, batch_size=None, callbacks=counting)
    program = trained.training_step(BatchSpec(x.shape, True, False)).program
    assert [counts["nodes"] for counts in counting.epochs[1:]] == [len(program) + 1] * 3


def test_rates_are_those_of_each_step_and_may_change_between_epochs(standin):
    x, y = data("mean_squared_error")
    found = []
    for graph in (0, 4):
        trained = trainer(
            device(), "mean_squared_error", "momentum", steps_per_graph=graph
        )
        watcher = ReduceOnPlateau(monitor="loss", patience=1, min_delta=10.0)
        history = trained.fit(x, y, epochs=8, batch_size=4, callbacks=watcher)
        trained.step(x[:4], y[:4])  # writes its numbers itself again
        trained.learning_rate = 0.25
        trained.fit(x, y, epochs=1, batch_size=4)
        found.append(everything(trained) | {"rates": history["learning_rate"]})
    assert len(set(found[0]["rates"])) > 5
    assert_same(*found)


def test_a_step_of_ones_own_loop_is_one_graph(standin):
    x, y = data("softmax_cross_entropy")
    found = []
    for graph in (0, 8):
        trained = trainer(device(), dtype="float32", steps_per_graph=graph)
        with trained.backend.active():
            there = [trained.backend.asarray(a) for a in (x, y)]
        for _ in range(5):
            with standin.counting() as counts:
                trained.step(*there)
        found.append(everything(trained) | {"loss": trained.loss})
    program = trained.last_step.program
    both = sum(len(program.segments[name]) for name in ("gradients", "update"))
    assert (counts.graphs, counts.nodes) == (1, both)
    assert counts.unsafe == 0
    assert_same(*found)


@pytest.mark.parametrize("name", ["x", "y"])
def test_data_on_the_device_need_not_be_contiguous(standin, name):
    x, y = data("mean_squared_error")
    found = []
    for turned in (False, True):
        trained = trainer(device(), "mean_squared_error", "sgd")
        there = {}
        with trained.backend.active():
            for key, values in {"x": x, "y": y}.items():
                if turned and key == name:
                    there[key] = trained.backend.asarray(values.T.copy()).T
                else:
                    there[key] = trained.backend.asarray(values)
        trained.fit(**there, epochs=2, batch_size=BATCH)
        found.append(everything(trained))
    assert_same(*found)


def test_a_step_between_two_fits_has_its_own_rate(standin):
    """The numbers that graphs have written are no longer those of the last step."""
    x, y = data("mean_squared_error")
    found = []
    for graph in (0, 4):
        trained = trainer(device(), "mean_squared_error", "sgd", steps_per_graph=graph)
        trained.step(x[:4], y[:4])
        trained.learning_rate = 0.25
        trained.fit(x, y, epochs=1, batch_size=BATCH)
        trained.learning_rate = 0.05
        trained.step(x[:4], y[:4])
        found.append(everything(trained))
    assert_same(*found)


@pytest.mark.parametrize("together", [1, 4])
def test_the_doctor_looks_between_graphs(standin, together):
    x, y = data("mean_squared_error", samples=160)
    found = []
    for graph in (0, together):
        trained = trainer(
            device(), "mean_squared_error", "momentum", steps_per_graph=graph
        )
        with standin.counting() as counts:
            options = {"verbose": False, "diagnose": True}
            history = trained.fit(x, y, epochs=3, batch_size=BATCH, **options)
        looks = np.array(history.diagnosis.steps)
        assert len(looks) > 3
        rows = np.array(curves(history))
        found.append(everything(trained) | {"rows": rows, "looks": looks})
    assert counts.graphs > 0
    assert_same(*found)


def test_averaged_weights_noise_and_limits_are_part_of_the_graph(standin):
    x, y = data("softmax_cross_entropy")
    found = []
    for graph in (0, 4):
        model = Sequential([Dense(8, activation="relu", max_norm=1.0), Dense(3)])
        rule = SGD(ExponentialDecay(0.1, 3), gradient_noise=0.1, clip_norm=1.0)
        average = WeightAverage(decay=0.9)
        trained = Trainer(
            model, "softmax_cross_entropy", rule, device(), average=average,
            steps_per_graph=graph, seed=2,
        )  # fmt: skip
        x2 = x.reshape(len(x), -1)
        trained.fit(x2, y, epochs=3, batch_size=BATCH, validation=(x2, y))
        found.append(everything(trained) | {"p": trained.predict(x2)})
    assert_same(*found)


def test_a_saved_training_goes_on(standin, tmp_path):
    x, y = data("softmax_cross_entropy")
    trained, _ = fitted(4)
    trained.save(tmp_path)
    loaded = Trainer.load(tmp_path, device())
    for t in (trained, loaded):
        t.fit(x, y, epochs=2, batch_size=BATCH)
    assert_same(everything(loaded), everything(trained))


def test_replays_amid_other_work(standin):
    """Arrays come and go between epochs, other programs run: the bits stay."""

    class Busy(Callback):
        def on_epoch_end(self, trainer, row):
            self.kept = [cupy.zeros((n,), np.float64) + n for n in range(1, 9)]
            trainer.evaluate(x[:5], y[:5])
            gc.collect(0)

    x, y = data("softmax_cross_entropy")
    found = []
    for graph in (0, 8):
        trained = trainer(device(), steps_per_graph=graph, dtype="float32")
        with standin.counting() as counts:
            trained.fit(x, y, epochs=5, batch_size=2, callbacks=Busy())
        assert trained.steps_done == 5 * 23
        found.append(everything(trained))
    assert counts.graphs > 40
    assert_same(*found)


# What goes wrong.


class Refusing(FiberDriver):
    """Products by CuPy, which do not let themselves be captured."""

    def gemm(self, gemm):
        cupy.matmul(gemm.a, gemm.b, gemm.out)


def test_what_cannot_be_captured_runs_call_by_call_and_warns_once(standin):
    x, y = data("softmax_cross_entropy")
    found = []
    for graph in (0, 4):
        backend = replace(standin_backend(), driver=Refusing())
        trained = trainer(backend, steps_per_graph=graph)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            trained.fit(x, y, epochs=3, batch_size=BATCH)
        found.append(everything(trained))
        assert len(told) == (graph > 0)
    (warning,) = told
    assert warning.category is RuntimeWarning
    text = str(warning.message)
    assert text.startswith("steps run call by call, not as CUDA graphs: NotImplemented")
    assert "\n" not in text
    assert_same(*found)


def test_an_interrupt_within_a_capture_leaves_the_trainer_usable(standin):
    class Interrupted(FiberDriver):
        once = True

        def gemm(self, gemm):
            if cupy.cuda.get_current_stream().ptr and self.once:
                self.once = False
                raise KeyboardInterrupt
            super().gemm(gemm)

    x, y = data("softmax_cross_entropy")
    trained = trainer(replace(standin_backend(), driver=Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        trained.fit(x, y, epochs=2, batch_size=BATCH)
    assert cupy.cuda.get_current_stream().ptr == 0
    assert trained.steps_done == 1
    trained.fit(x, y, epochs=2, batch_size=BATCH)
    assert trained.steps_done == 1 + 12
    assert np.isfinite(trained.loss)


@pytest.mark.parametrize("graph", [1, 8])
def test_a_diverging_epoch_is_taken_back(standin, graph):
    x, y = data("mean_squared_error")
    found = []
    for together in (0, graph):
        trained = trainer(
            device(), "mean_squared_error", "momentum", steps_per_graph=together
        )
        trained.fit(x, y, epochs=2, batch_size=BATCH)
        kept = everything(trained)
        steps = trained.steps_done
        trained.learning_rate = 1e200
        with pytest.raises(DivergenceError) as error:
            trained.fit(x, y, epochs=3, batch_size=BATCH)
        assert trained.steps_done == steps
        now = everything(trained)
        for name in kept:
            if not name.startswith("d"):
                np.testing.assert_array_equal(now[name], kept[name], err_msg=name)
        trained.learning_rate = 0.01
        trained.fit(x, y, epochs=1, batch_size=BATCH)
        found.append(everything(trained) | {"told": np.array(str(error.value))})
    assert_same(*found)


def test_control_c_ends_with_the_steps_that_were_queued(standin):
    """It comes when four more are under way: they are done and counted."""
    x, y = data("softmax_cross_entropy", samples=160)
    found = []
    for graph in (0, 4):
        trained = trainer(device(), steps_per_graph=graph)

        def took(step, trained=trained, original=trained.set_last_step, graph=graph):
            original(step)
            if trained.steps_done + (graph == 0) == 5:
                signal.raise_signal(signal.SIGINT)

        trained.set_last_step = took
        history = trained.fit(x, y, epochs=3, batch_size=BATCH, verbose=True)
        assert history.stopped == "interrupted in epoch 1 after batch 5"
        assert trained.steps_done == 5
        found.append(everything(trained) | {"rows": np.array(curves(history))})
    assert_same(*found)


def test_eager_steps_and_other_devices_do_without_graphs(standin):
    x, y = data("softmax_cross_entropy")
    for backend, options in [
        (device(), {"eager": True}),
        (device(), {"steps_per_graph": 0}),
        (standin_backend(), {}),
        ("cpu", {}),
    ]:
        with standin.counting() as counts:
            trainer(backend, **options).fit(x, y, epochs=2, batch_size=BATCH)
        assert counts.graphs == 0


@pytest.mark.parametrize("value", [-1, 1.5, None, "8"])
def test_steps_per_graph_is_a_whole_number(standin, value):
    with pytest.raises(ValueError, match="steps_per_graph: expected a whole number"):
        trainer("cpu", steps_per_graph=value)


# Precision.


def test_precision_rounds_the_operands_of_products_alone(standin):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 20)).astype(np.float32)
    y = rng.integers(3, size=64)
    weights = {}
    for precision in ("float32", "tf32", "bfloat16"):
        layers = [Dense(16, activation="tanh"), BatchNorm(), Dropout(0.2), Dense(3)]
        trained = Trainer(
            Sequential(layers), "softmax_cross_entropy", "sgd", device(),
            precision=precision, seed=1,
        )  # fmt: skip
        trained.fit(x, y, epochs=2, batch_size=16)
        assert trained.parameters()["0.W"].dtype == np.float32
        weights[precision] = trained.parameters()["0.W"].get()
    exact = weights.pop("float32")
    errors = {name: abs(found - exact).max() for name, found in weights.items()}
    assert 0.0 < errors["tf32"] < errors["bfloat16"] < 0.02


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_precision_is_for_recorded_float32_on_a_gpu(standin, precision):
    cases = [
        ("cpu", {}, "on a GPU, the device is cpu"),
        (standin_backend(), {}, "on a GPU, the device is cuda:0"),
        (device(), {"dtype": "float64"}, "not for dtype='float64'"),
        (device(), {"eager": True}, "not for eager=True"),
    ]
    for where, options, told in cases:
        with pytest.raises(
            ValueError, match=rf"precision: '{precision}' is for .*{told}"
        ):
            trainer(where, precision=precision, **{"dtype": "float32", **options})


def test_a_saved_training_goes_on_in_the_precision_of_its_backend(standin, tmp_path):
    x, y = data("softmax_cross_entropy")
    trained = trainer(device(), dtype="float32", precision="tf32")
    trained.fit(x, y, epochs=1)
    trained.save(tmp_path)
    loaded = Trainer.load(tmp_path, device().with_precision("tf32"))
    assert loaded.backend.precision == "tf32"
    for t in (trained, loaded):
        t.fit(x, y, epochs=1)
    assert_same(everything(loaded), everything(trained))


def test_a_misspelt_precision_names_the_nearest(standin):
    with pytest.raises(ValueError, match=r"unknown precision 'fp32'.*float32"):
        trainer(device(), precision="fp32")


def test_without_a_compiler_steps_are_calls_of_cupy(standin):
    class Uncompiled(FiberDriver):
        def load(self, source):
            raise DeviceError("the CUDA kernels of this step were not compiled")

    x, y = data("softmax_cross_entropy")
    trained = trainer(replace(standin_backend(), driver=Uncompiled()))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained.fit(x, y, epochs=2, batch_size=BATCH)
    assert {warning.category for warning in told} == {RuntimeWarning}
    assert all("were not compiled" in str(warning.message) for warning in told)
    wanted = trainer("cpu")
    wanted.fit(x, y, epochs=2, batch_size=BATCH)
    assert_close(everything(trained), everything(wanted), "float64")


@pytest.mark.parametrize("jit", [False, None])
def test_recorded_calls_of_cupy_become_graphs_too(standin, jit):
    """With products of the driver's; their own memory is taken from the graph's."""
    x, y = data("softmax_cross_entropy")
    trained = trainer(device(), jit=jit)
    with standin.counting() as counts:
        trained.fit(x, y, epochs=3, batch_size=BATCH)
    assert counts.graphs > 0
    assert counts.unsafe == 0
    wanted = trainer("cpu")
    wanted.fit(x, y, epochs=3, batch_size=BATCH)
    assert_close(everything(trained), everything(wanted), "float64")


def stack_of(graph, ordinal=0):
    """Networks side by side after 3 epochs, and what these have changed."""
    made = [
        trainer(
            device(ordinal), "mean_squared_error", "adam", steps_per_graph=graph, seed=i
        )
        for i in range(3)
    ]
    x, y = data("mean_squared_error", samples=SAMPLES)
    stack = Stack(made)
    histories = stack.fit(x, y, 3, BATCH, verbose=False)
    found = [
        everything(one) | {"rows": np.array(curves(history))}
        for one, history in zip(made, histories, strict=True)
    ]
    return stack, found


def test_steps_of_a_stack_are_one_graph_each_with_the_bits_of_the_calls(standin):
    with standin.counting() as plain:
        _, wanted = stack_of(0)
    with standin.counting() as graphs:
        stack, found = stack_of(8)
    assert len(stack) == 3
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b)
    # 3 epochs of 6 steps, of which the first of each size is made of calls.
    assert (plain.graphs, graphs.graphs) == (0, 3 * 6 - 2)
    assert graphs.launches < 0.5 * plain.launches


@pytest.mark.parametrize(("graph", "stop"), [(0, 4), (4, 1), (4, 7)])
def test_a_training_that_was_stopped_within_an_epoch_ends_alike(
    standin, graph, stop, tmp_path
):
    watch = {"callbacks": [EarlyStopping("loss")]}
    _, wanted = fitted(graph, **watch)
    keep = StopAt(tmp_path, stop, every=1, unit="steps")
    with pytest.raises(Stop):
        fitted(graph, callbacks=[EarlyStopping("loss"), keep])
    assert read_run(tmp_path).rows[0]["steps_done"] == stop
    for ordinal in (0, 0):  # going on, and as it had ended
        _, found = fitted(graph, ordinal=ordinal, resume=tmp_path, **watch)
        assert_same(found, wanted)


@pytest.mark.parametrize("graph", [0, 4])
def test_a_training_that_goes_on_diverges_at_the_same_step(standin, graph, tmp_path):
    def fit(*callbacks):
        model = Sequential([Dense(8), Dense(1)])
        t = Trainer(model, "mean_squared_error", SGD(30.0), device(), "float32")
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
