"""Whole steps as a user takes them, their floor, and the parts of a step alone."""

import numpy as np
import pytest

import xpnet as xn
from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.conftest import Timed
from xpnet.benchmarks.rivals.numpy_ import prepare_products
from xpnet.benchmarks.subjects import model, stacked, steady, trainer
from xpnet.compiler import compile_tape, primitives
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import LOSSES, SoftmaxCrossEntropy
from xpnet.trace import Tape

pytestmark = pytest.mark.usefixtures("threads")


def name(case: Case) -> str:
    """The case as the table of results shows it."""
    return f"{case.net.replace(', ', 'x')}-{case.optimizer}"


@pytest.mark.parametrize("case", cases(), ids=name)
def test_step(timed: Timed, backend: Backend, case: Case) -> None:
    """`trainer.step(x, y)`, checks and copies included."""
    x, y = case.data()
    subject = trainer(case, backend, steady(backend))
    if not backend.is_host:
        x, y = backend.asarray(x), backend.asarray(y)
    subject.step(x, y)
    timed(f"step {case.net}", lambda: subject.step(x, y))
    assert subject.steps_done >= 2


@pytest.mark.parametrize("case", cases(("sgd",)), ids=name)
def test_products(timed: Timed, backend: Backend, case: Case) -> None:
    """The floor of a step: its matrix products into arrays allocated beforehand."""
    if not backend.is_host:
        pytest.skip("the products are those of NumPy")
    step, _ = prepare_products(case)
    timed(f"step {case.net}", step)


@pytest.mark.parametrize("case", cases(("sgd",)), ids=name)
def test_predict(timed: Timed, backend: Backend, case: Case) -> None:
    """`trainer.predict(x)` of one batch."""
    x, _ = case.data()
    subject = trainer(case, backend, steady(backend))
    timed(f"predict {case.net}", lambda: subject.predict(x))
    assert subject.predict(x).shape == (case.batch, case.sizes[-1])


@pytest.mark.parametrize("batch", [32, 256], ids="batch={}".format)
def test_epoch(timed: Timed, backend: Backend, batch: int) -> None:
    """One `fit` of one epoch over the digits."""
    x, y = xn.datasets.digits()
    subject = xn.Trainer(
        model((64, 64, 10)),
        "softmax_cross_entropy",
        xn.Adam(1e-3),
        device=backend,
        jit=steady(backend),
    )
    timed(
        "epoch digits 64-64-10", lambda: subject.fit(x / 16, y, 1, batch, verbose=False)
    )
    assert subject.epochs_done >= 1


@pytest.mark.parametrize("networks", [1, 4, 16, 64], ids="k={}".format)
def test_stacked_networks(timed: Timed, backend: Backend, networks: int) -> None:
    """Gradients and update of k networks as one program; time for all k."""
    step = stacked(Case((64, 32, 10), 32, "adam"), networks, backend)
    buffers = step.model.buffers
    assert buffers is not None
    before = backend.to_numpy(buffers.params).copy()

    def once() -> None:
        step.run("gradients")
        step.run("update")

    timed("stacked 64-32-10, 32, Adam", once, members=networks)
    assert (backend.to_numpy(buffers.params) != before).any(axis=1).all()


SIZES = (784, 512, 512, 10)  # 669,706 parameters
RULES = {
    "sgd": xn.SGD(0.01),
    "momentum": xn.SGD(0.01, momentum=0.9),
    "adam": xn.Adam(1e-3),
    "adamw": xn.AdamW(1e-3),
    "adam clipped by norm": xn.Adam(1e-3, clip_norm=1.0),
}


@pytest.mark.parametrize("name", RULES)
def test_update(timed: Timed, backend: Backend, name: str) -> None:
    """One update of the flat buffers."""
    net = model(SIZES)
    net.allocate(backend, np.dtype("float32"), (0,))
    assert net.buffers is not None
    rule = UpdateState(RULES[name], net.buffers)
    rule.write(1e-3, 1)
    kind = BatchSpec((32, SIZES[0]), True, False)
    step = TrainingStep(net, SoftmaxCrossEntropy(), rule, kind, jit=steady(backend))
    # Zeros could be faster than other numbers.
    noise = np.random.default_rng(0).standard_normal(net.buffers.grads.shape)
    backend.upload(net.buffers.grads, noise.astype(np.float32))
    before = backend.to_numpy(net.buffers.params).copy()
    timed("update of 669,706 parameters", lambda: step.run("update"))
    assert (backend.to_numpy(net.buffers.params) != before).any()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient(timed: Timed, backend: Backend, name: str) -> None:
    """Both in one program, as in a step."""
    loss, rng = LOSSES[name](), np.random.default_rng(0)
    z = backend.asarray(rng.standard_normal((1024, 10)).astype(np.float32))
    t = backend.asarray(np.eye(10, dtype=np.float32)[rng.integers(0, 10, 1024)])
    rows, gradient = (
        backend.zeros(shape, np.float32) for shape in ((1024, 1), z.shape)
    )
    tape = Tape()
    tape.segment = "loss"
    z_leaf, t_leaf = tape.leaf(z), tape.leaf(t)
    tape.leaf(rows)[...] = loss.rows(z_leaf, t_leaf)
    tape.leaf(gradient)[...] = loss.gradient(z_leaf, t_leaf)
    program = compile_tape(tape, backend, {}, ("loss",), steady(backend))
    timed("loss and gradient, 1024 x 10", lambda: program.run("loss"))
    assert np.isfinite(backend.to_numpy(rows)).all()


@pytest.mark.parametrize("batch", [32, 128, 1024], ids="batch={}".format)
def test_gather(timed: Timed, backend: Backend, batch: int) -> None:
    """Copy rows in random order into a fixed buffer."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((10_000, 784)).astype(np.float32)
    rows = backend.asarray(values)
    picked = rng.permutation(len(values))[:batch]
    indices, out = backend.asarray(picked), backend.empty((batch, 784), np.float32)
    function, arguments = primitives.take(backend, rows, indices, out)
    timed("gather of rows of 784, out of 10,000", lambda: function(*arguments))
    assert (backend.to_numpy(out) == values[picked]).all()
