"""Whole steps as a user takes them, and their floor: the matrix products alone."""

from typing import Any

import pytest

import xpnet as xn
from xpnet.backend import Backend
from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.conftest import Timed
from xpnet.benchmarks.rivals.numpy_ import prepare_products
from xpnet.benchmarks.subjects import model, stacked, steady, trainer


def name(case: Case) -> str:
    """The case as the table of results shows it."""
    return f"{case.net.replace(', ', 'x')}-{case.optimizer}"


@pytest.mark.parametrize("case", cases(), ids=name)
def test_step(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, case: Case
) -> None:
    """`trainer.step(x, y)`, checks and copies included."""
    benchmark.group = f"step {case.net}"
    x, y = case.data()
    subject = trainer(case, backend, steady(backend))
    if not backend.is_host:
        x, y = backend.asarray(x), backend.asarray(y)
    subject.step(x, y)
    timed(lambda: subject.step(x, y))
    assert subject.steps_done >= 2


@pytest.mark.parametrize("case", cases(("sgd",)), ids=name)
def test_products(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, case: Case
) -> None:
    """The floor of a step: its matrix products into arrays allocated beforehand."""
    benchmark.group = f"step {case.net}"
    if not backend.is_host:
        pytest.skip("the products are those of NumPy")
    step, _ = prepare_products(case)
    timed(step)


@pytest.mark.parametrize("case", cases(("sgd",)), ids=name)
def test_predict(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, case: Case
) -> None:
    """`trainer.predict(x)` of one batch."""
    benchmark.group = f"predict {case.net}"
    x, _ = case.data()
    subject = trainer(case, backend, steady(backend))
    timed(lambda: subject.predict(x))
    assert subject.predict(x).shape == (case.batch, case.sizes[-1])


@pytest.mark.parametrize("batch", [32, 256], ids="batch={}".format)
def test_epoch(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, batch: int
) -> None:
    """One `fit` of one epoch over the digits."""
    benchmark.group = "epoch digits 64-64-10"
    x, y = xn.datasets.digits()
    subject = xn.Trainer(
        model((64, 64, 10)),
        "softmax_cross_entropy",
        xn.Adam(1e-3),
        device=backend,
        jit=steady(backend),
    )
    timed(lambda: subject.fit(x / 16, y, 1, batch, verbose=False))
    assert subject.epochs_done >= 1


@pytest.mark.parametrize("networks", [1, 4, 16, 64], ids="k={}".format)
def test_stacked_networks(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, networks: int
) -> None:
    """Gradients and update of k networks as one program; time for all k."""
    benchmark.group = "stacked 64-32-10, 32, Adam"
    benchmark.extra_info["members"] = networks
    step = stacked(Case((64, 32, 10), 32, "adam"), networks, backend)
    buffers = step.model.buffers
    assert buffers is not None
    before = backend.to_numpy(buffers.params).copy()

    def once() -> None:
        step.run("gradients")
        step.run("update")

    timed(once)
    assert (backend.to_numpy(buffers.params) != before).any(axis=1).all()
