"""xpnet's step on a GPU: as CuPy's calls, as own kernels, as graphs of them.

The first two replay a recorded step call by call on a batch that is in place. Graphs
are those of `fit`: each step also gathers its batch, reads its learning rate from a
table and keeps its loss, and a piece of work is an epoch.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.clock import clock_of
from xpnet.benchmarks.gpu.rivals import TOGETHER, Subject
from xpnet.benchmarks.gpu.verdicts import need_driver
from xpnet.benchmarks.step import CHECKED_STEPS
from xpnet.benchmarks.subjects import trainer
from xpnet.training.data import Samples
from xpnet.training.epochs import graph_epoch
from xpnet.training.trainer import Trainer

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "cupy")
LARGEST = 1 << 28  # bytes of the data set that graphs gather from
LONGEST = 25 * TOGETHER  # steps of an epoch


def device() -> Backend:
    """The first GPU."""
    return get_backend("cuda")


def prepare(case: Case, way: str) -> Subject:
    """A Trainer with the case's weights; `way` is its entry in `RIVALS`."""
    warnings.simplefilter("error", RuntimeWarning)  # "steps run call by call"
    backend = device()
    if way == "calls":
        backend = replace(backend, driver=False)
    else:
        need_driver(backend)
    made = trainer(case, backend)
    if way in ("calls", "kernels"):
        return _call_by_call(made, case)
    made.steps_per_graph = TOGETHER if way == "ksteps" else 1
    return _graphs(made, case)


def _call_by_call(made: Trainer, case: Case) -> Subject:
    x, y = case.data()
    backend = made.backend
    with backend.active():
        samples = Samples(made, x, y)
        step = made.training_step(samples.kind(len(x)))
        samples.gather(backend.asarray(np.arange(len(x))), step.batch)

    def work() -> None:
        made.set_scalars()
        for segment in ("gradients", "loss", "update"):
            step.run(segment)
        made.steps_done += 1

    facts = {"nodes": len(step.program or ())}
    return Subject(work, _loss(made, case), clock_of(backend), facts=facts)


def _graphs(made: Trainer, case: Case) -> Subject:
    x, _ = case.data()
    steps = min(LONGEST, max(TOGETHER, LARGEST // x.nbytes // TOGETHER * TOGETHER))
    work, nodes = _epoch(made, case, steps)
    check, _ = _epoch(made, case, CHECKED_STEPS)
    return Subject(
        work, _loss(made, case), clock_of(made.backend), steps, check, {"nodes": nodes}
    )


def _epoch(made: Trainer, case: Case, steps: int) -> tuple[Callable[[], Any], int]:
    """(an epoch of `steps` steps on the same batch, the calls of a step)."""
    x, y = case.data()
    backend = made.backend
    with backend.active():
        samples = Samples(made, np.tile(x, (steps, 1)), np.tile(y, steps))
        order = backend.asarray(np.arange(samples.count))
        losses = backend.zeros((steps,), made.dtype)
        captured = graph_epoch(made, samples, len(x), order, losses)
    assert captured is not None

    def work() -> None:
        first, done = made.steps_done, 0
        captured.start_epoch(made.rates.of(first, steps), first + 1)
        while done < steps:
            _, done = captured.run(done, steps)
        made.steps_done += steps

    return work, captured.nodes


def _loss(made: Trainer, case: Case) -> Callable[[], float]:
    x, y = case.data()
    return lambda: made.evaluate(x, y)["loss"]
