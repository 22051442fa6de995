"""Whole trainings on the device: as graphs and call by call, beside NumPy.

- *Graphs.* The same `fit` without graphs, with one step per graph and with several
  must give bit-identical parameters and losses.
- *Replays.* A graph that is launched many times, while other work allocates and frees
  memory in between, must give the bits of its calls without a graph.
- *Lock-step.* `diagnosis/lockstep.py`, over 100 steps.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.gpu.verdicts import (
    Check,
    DifferenceError,
    Figures,
    identical,
    need_driver,
)
from xpnet.compiler import Call
from xpnet.compiler.cuda.graph import Graph
from xpnet.data import datasets
from xpnet.diagnosis.execution_modes import ExecutionMode
from xpnet.diagnosis.lockstep import Lockstep, Problem
from xpnet.execution.batch import BatchSpec
from xpnet.layers import BatchNorm, Dense, Dropout, Layer, Sequential
from xpnet.optim import SGD, Adam, Optimizer
from xpnet.training.trainer import Trainer

SAMPLES, INPUTS, CLASSES, BATCH = 150, 21, 5, 32  # 4 batches of 32 and one of 22
EPOCHS = 3
REPLAYS = 1000
LOCKSTEPS = 100
TOGETHER = 4  # steps per graph


@dataclass(frozen=True)
class Training:
    """A network and how it is trained."""

    name: str
    layers: Callable[[], list[Layer]]
    rule: Callable[[], Optimizer]
    weighted: bool = False

    def trainer(self, backend: Backend, dtype: str, together: int) -> Trainer:
        """A trainer with `together` steps per graph; 0: without graphs."""
        return Trainer(
            Sequential([*self.layers(), Dense(CLASSES)]),
            "softmax_cross_entropy",
            self.rule(),
            backend,
            dtype,
            seed=3,
            steps_per_graph=together,
        )


def _plain() -> list[Layer]:
    return [Dense(33, activation="relu"), Dense(17, activation="gelu")]


def _noisy() -> list[Layer]:
    return [Dense(33, activation="tanh"), BatchNorm(), Dropout(0.2)]


TRAININGS = (
    Training("relu and gelu, adam", _plain, partial(Adam, 0.01)),
    Training("relu and gelu, sgd clipped", _plain, partial(SGD, 0.1, clip_norm=0.2)),
    Training("BatchNorm and Dropout, adam", _noisy, partial(Adam, 0.01), True),
    Training("BatchNorm and Dropout, momentum", _noisy, partial(SGD, 0.1, 0.9), True),
)


def data() -> tuple[Array, Array, Array]:
    """x, labels and weights."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((SAMPLES, INPUTS)).astype(np.float32)
    y, w = rng.integers(0, CLASSES, SAMPLES), rng.uniform(0.5, 1.5, SAMPLES)
    return x, y, w


def left(trainer: Trainer) -> dict[str, Array]:
    """Array copies of the arrays that training changes."""
    backend, buffers = trainer.backend, trainer.model.buffers
    assert buffers is not None
    arrays = {"parameters": buffers.params, "running statistics": buffers.state}
    arrays |= {f"slot {i}": slot for i, slot in enumerate(trainer.rule.slots)}
    with backend.active():
        return {k: np.array(backend.to_numpy(v)) for k, v in arrays.items()}


def compare_bits(a: dict[str, Array], b: dict[str, Array]) -> None:
    """Raise a DifferenceError for the first tensor that is not bit-identical."""
    for name, values in a.items():
        if not identical(values, b[name]):
            apart = np.abs(values.astype(float) - b[name].astype(float)).max()
            raise DifferenceError(f"{name} differ by up to {apart:.2g}")


def fitted(
    training: Training, backend: Backend, dtype: str, together: int
) -> dict[str, Array]:
    """The arrays after `fit`, and the loss of every epoch.

    Raises:
        RuntimeWarning: the steps could not be captured.
    """
    trainer = training.trainer(backend, dtype, together)
    x, y, w = data()
    weights = w if training.weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # "steps run call by call"
        history = trainer.fit(x, y, EPOCHS, BATCH, sample_weight=weights, verbose=False)
    return left(trainer) | {"losses": np.array(history["loss"])}


def compare_graphs(
    training: Training, backend: Backend, dtype: str, together: int
) -> Figures:
    """`fit` with `together` steps per graph, and without graphs."""
    need_driver(backend)
    with_graphs = fitted(training, backend, dtype, together)
    compare_bits(with_graphs, fitted(training, backend, dtype, 0))
    return {}


def graph_checks(backend: Backend, quick: bool = False) -> list[Check]:
    """Every training × dtype × steps per graph."""
    rows = TRAININGS[::2] if quick else TRAININGS
    return [
        Check(
            f"{row.name}, {dtype}, {together} per graph",
            partial(compare_graphs, row, backend, dtype, together),
        )
        for row in rows
        for dtype in ("float32", "float64")
        for together in (1, TOGETHER)
    ]


# Replays.


def step_calls(trainer: Trainer) -> list[Call]:
    """The calls of one recorded step on one batch, which is in place.

    They have run once, because a capture needs what the first run loads.
    """
    x, y, w = (a[:BATCH] for a in data())
    trainer.step(x, y, w)
    with trainer.backend.active():
        step = trainer.training_step(BatchSpec(x.shape, labels=True, weighted=True))
        assert step.program is not None
        segments = step.program.segments
    calls = [c for name in ("gradients", "loss", "update") for c in segments[name]]
    _run(trainer, calls, 1)
    return calls


def _run(trainer: Trainer, calls: list[Call], count: int) -> None:
    """Run the calls in order, `count` times."""
    with trainer.backend.active(), np.errstate(all="ignore"):
        for _ in range(count):
            for function, arguments in calls:
                function(*arguments)


def replayed(training: Training, backend: Backend, dtype: str, count: int) -> Any:
    """The arrays after `count` launches of a graph, with other work in between."""
    trainer = training.trainer(backend, dtype, 0)
    calls = step_calls(trainer)
    with backend.active():
        graph = Graph(calls, backend)
        for _ in zip(range(count), _other_work(backend), strict=False):
            graph.launch()
        backend.synchronize()
    return left(trainer)


def _other_work(backend: Backend) -> Iterator[None]:
    """Allocate memory of many sizes, fill it with NaN, free most of it."""
    rng = np.random.default_rng(5)
    kept: list[Any] = []
    while True:
        for size in rng.integers(1, 200_000, 3):
            array = backend.xp.empty((int(size),), np.float32)
            array[...] = float("nan")
            kept.append(array)
        del kept[: int(rng.integers(0, 6))]
        del kept[16:]
        yield


def compare_replays(
    training: Training, backend: Backend, dtype: str, count: int
) -> Figures:
    """`count` launches between other work, and as many runs of the calls."""
    need_driver(backend)
    with_graph = replayed(training, backend, dtype, count)
    trainer = training.trainer(backend, dtype, 0)
    _run(trainer, step_calls(trainer), count)
    compare_bits(with_graph, left(trainer))
    return {"replays": count}


def replay_checks(backend: Backend, count: int = REPLAYS) -> list[Check]:
    """Every training, in float32."""
    return [
        Check(
            f"{count} replays, {row.name}",
            partial(compare_replays, row, backend, "float32", count),
        )
        for row in TRAININGS
    ]


# Lock-step.


def compare_lockstep(backend: Backend, dtype: str, rule: str, steps: int) -> Figures:
    """NumPy and the device on the digits."""
    x, y = datasets.digits()
    problem = Problem(x / 16, y, (64, 32), 10, optimizer=rule)
    a = ExecutionMode("cpu", get_backend("cpu"), dtype, jit=False)
    found = Lockstep(problem, a, ExecutionMode(backend.device, backend, dtype)).run(
        steps
    )
    figures: Figures = {"steps": found.steps, "drift": found.drift}
    if found.largest is not None:
        figures["share_of_bound"] = round(found.largest.share, 4)
    first = found.first
    if first is not None:
        where = f"{first.tensor} in step {first.step}"
        note = f"{where}: off by {first.size:.2g}, bound {first.bound:.2g}"
        raise DifferenceError(note, figures)
    return figures


def lockstep_checks(backend: Backend, steps: int = LOCKSTEPS) -> list[Check]:
    """Update rules × dtypes."""
    return [
        Check(
            f"{steps} steps, {rule}, {dtype}",
            partial(compare_lockstep, backend, dtype, rule, steps),
        )
        for rule in ("sgd", "adam")
        for dtype in ("float32", "float64")
    ]
