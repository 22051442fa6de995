"""What cannot be captured, fails or is rounded: steps of CuPy, and nothing is lost."""

import signal
import warnings

import numpy as np
import pytest

from tests import ways
from tests.cuda.fibers import FiberDriver, needs_compiler
from tests.cuda.test_capture import (
    BATCH,
    MSE,
    assert_same,
    assert_same_with_graphs,
    curves,
    device,
    on_the_cpu,
    trainer,
)
from tests.standin import cupy, standin_backend
from tests.training.test_on_a_device import assert_close, data, everything
from xpnet.backend import DeviceError
from xpnet.layers import BatchNorm, Dense, Dropout, Sequential
from xpnet.training.divergence import DivergenceError
from xpnet.training.trainer import Trainer

pytestmark = [needs_compiler, pytest.mark.slow]


class Refusing(FiberDriver):
    """Products by CuPy, which do not let themselves be captured."""

    def gemm(self, gemm):
        cupy.matmul(gemm.a, gemm.b, gemm.out)


class Interrupted(FiberDriver):
    """Ctrl-C within the first capture."""

    once = True

    def gemm(self, gemm):
        if cupy.cuda.get_current_stream().ptr and self.once:
            self.once = False
            raise KeyboardInterrupt
        super().gemm(gemm)


class Uncompiled(FiberDriver):
    """There is no NVRTC."""

    def load(self, source):
        raise DeviceError("the CUDA kernels of this step were not compiled")


def warned(trained, epochs=3):
    """The warnings of a training."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained.fit(*data(MSE), epochs=epochs, batch_size=BATCH)
    assert {warning.category for warning in told} <= {RuntimeWarning}
    return [str(warning.message) for warning in told]


def test_what_cannot_be_captured_runs_call_by_call_and_warns_once(standin):
    def train(graph):
        trained = trainer(device(kind=Refusing), steps_per_graph=graph)
        told = warned(trained)
        assert len(told) == (graph > 0)
        for text in told:
            start = "steps run call by call, not as CUDA graphs: NotImplemented"
            assert text.startswith(start)
            assert "\n" not in text
        return everything(trained)

    assert_same_with_graphs(train)


def test_an_interrupt_within_a_capture_leaves_the_trainer_usable(standin):
    trained = trainer(device(kind=Interrupted))
    with pytest.raises(KeyboardInterrupt):
        trained.fit(*data(MSE), 2, BATCH)
    assert cupy.cuda.get_current_stream().ptr == 0
    assert trained.steps_done == 1
    trained.fit(*data(MSE), 2, BATCH)
    assert trained.steps_done == 1 + 12
    assert np.isfinite(trained.loss)


def test_without_a_compiler_steps_are_calls_of_cupy(standin):
    trained = trainer(device(kind=Uncompiled))
    told = warned(trained, 2)
    assert told
    assert all("were not compiled" in text for text in told)
    assert any(text.endswith("CuPy's own kernels go on") for text in told)
    assert not trained.last_step.replay.compiled
    assert_close(everything(trained), on_the_cpu(2))
    with pytest.raises(DeviceError, match="were not compiled"):
        trainer(device(kind=Uncompiled), jit=True).step(*data(MSE))


@pytest.mark.parametrize("jit", [False, None])
def test_recorded_calls_of_cupy_become_graphs_too(standin, jit):
    """With products of the driver's; their own memory is taken from the graph's."""
    trained = trainer(device(), jit=jit)
    with standin.counting() as counts:
        trained.fit(*data(MSE), 3, BATCH)
    assert counts.graphs > 0
    assert counts.unsafe == 0
    assert_close(everything(trained), on_the_cpu(3))


@pytest.mark.parametrize("graph", [1, 8])
def test_a_diverging_epoch_is_taken_back(standin, graph):
    x, y = data(MSE)

    def train(together):
        trained = trainer(device(), optimizer="momentum", steps_per_graph=together)
        trained.fit(x, y, epochs=2, batch_size=BATCH)
        kept = ways.everything(trained)
        trained.learning_rate = 1e200
        with pytest.raises(DivergenceError) as error:
            trained.fit(x, y, epochs=3, batch_size=BATCH)
        assert_same(ways.everything(trained), kept)
        trained.learning_rate = 0.01
        trained.fit(x, y, epochs=1, batch_size=BATCH)
        return everything(trained) | {"told": np.array(str(error.value))}

    assert_same_with_graphs(train, (0, graph))


def test_control_c_ends_with_the_steps_that_were_queued(standin):
    """It comes when four more are under way: they are done and counted."""

    def train(graph):
        trained = trainer(device(), steps_per_graph=graph)
        original = trained.set_last_step

        def took(step):
            original(step)
            if trained.steps_done + (graph == 0) == 5:
                signal.raise_signal(signal.SIGINT)

        trained.set_last_step = took
        history = trained.fit(*data(MSE, samples=160), 3, BATCH, verbose=True)
        assert history.stopped == "interrupted in epoch 1 after batch 5"
        assert trained.steps_done == 5
        return everything(trained) | {"rows": curves(history)}

    assert_same_with_graphs(train)


def test_eager_steps_and_other_devices_do_without_graphs(standin):
    for backend, options in [
        (device(), {"eager": True}),
        (device(), {"steps_per_graph": 0}),
        (standin_backend(), {}),
        ("cpu", {}),
    ]:
        with standin.counting() as counts:
            trainer(backend, **options).fit(*data(MSE), 2, BATCH)
        assert counts.graphs == 0


@pytest.mark.parametrize("value", [-1, 1.5, None, "8"])
def test_steps_per_graph_is_a_whole_number(standin, value):
    with pytest.raises(ValueError, match="steps_per_graph: expected a whole number"):
        trainer("cpu", steps_per_graph=value)


# Precision.


def test_precision_rounds_the_operands_of_products_alone(standin, tmp_path):
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
    # What is saved goes on in the precision of its backend.
    trained.save(tmp_path)
    loaded = Trainer.load(tmp_path, device().with_precision("bfloat16"))
    for t in (trained, loaded):
        t.fit(x, y, epochs=1, batch_size=16)
    assert_same(everything(loaded), everything(trained))


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
    with pytest.raises(ValueError, match=r"unknown precision 'fp32'.*float32"):
        trainer(device(), precision="fp32")
