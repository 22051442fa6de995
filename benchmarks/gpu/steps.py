"""Whole trainings on the device: as graphs and call by call, beside NumPy.

- *Graphs.* The same `fit` with no graph, one step a graph and several steps a graph
  must leave the same bits in every parameter and every loss.
- *Replays.* A graph that is launched many times, while other work takes and gives back
  memory in between, must leave the same bits as its calls without a graph.
- *Lock-step.* `diagnosis/lockstep.py`, over 100 steps.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.gpu.verdicts import (
    DIFFERS,
    OK,
    Check,
    Figures,
    Host,
    identical,
)
from xpnet.compiler import Call
from xpnet.compiler.cuda.graph import Graph
from xpnet.compiler.drivers import driver_of
from xpnet.data import datasets
from xpnet.diagnosis.lockstep import Lockstep, Problem, Way
from xpnet.execution.step import Kind
from xpnet.layers import BatchNorm, Dense, Dropout, Layer, Sequential
from xpnet.optim import SGD, Adam, Optimizer
from xpnet.training.trainer import Trainer

Results = tuple[str, str, Figures]
SAMPLES, INPUTS, CLASSES, BATCH = 150, 21, 5, 32  # 4 batches of 32 and one of 22
EPOCHS = 3
REPLAYS = 1000
LOCKSTEPS = 100
TOGETHER = 4  # steps a graph


@dataclass(frozen=True)
class Training:
    """A network and the way it is trained."""

    name: str
    layers: Callable[[], list[Layer]]
    rule: Callable[[], Optimizer]
    weighted: bool = False

    def trainer(self, backend: Backend, dtype: str, together: int) -> Trainer:
        """A trainer of it with `together` steps a graph, 0 for none."""
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


def data() -> tuple[Host, Host, Host]:
    """x, labels and weights."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((SAMPLES, INPUTS)).astype(np.float32)
    y, w = rng.integers(0, CLASSES, SAMPLES), rng.uniform(0.5, 1.5, SAMPLES)
    return x, y, w


def left(trainer: Trainer) -> dict[str, Host]:
    """All that training has changed, on the host."""
    backend, buffers = trainer.backend, trainer.model.buffers
    assert buffers is not None
    arrays = {"parameters": buffers.params, "running statistics": buffers.state}
    arrays |= {f"slot {i}": slot for i, slot in enumerate(trainer.rule.slots)}
    with backend.active():
        return {k: np.array(backend.to_numpy(v)) for k, v in arrays.items()}


def first_difference(a: dict[str, Host], b: dict[str, Host]) -> str:
    """The first tensor that is not equal to the bit; empty where all are."""
    for name, values in a.items():
        if not identical(values, b[name]):
            apart = np.abs(values.astype(float) - b[name].astype(float)).max()
            return f"{name} differ by up to {apart:.2g}"
    return ""


def fitted(
    training: Training, backend: Backend, dtype: str, together: int
) -> dict[str, Host]:
    """What `fit` leaves, and the loss of every epoch.

    Raises:
        RuntimeError: the steps were not captured, though they were to be.
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
) -> Results:
    """With `together` steps a graph, and without graphs."""
    _needs_driver(backend)
    with_graphs = fitted(training, backend, dtype, together)
    without = fitted(training, backend, dtype, 0)
    difference = first_difference(with_graphs, without)
    return (DIFFERS, difference, {}) if difference else (OK, "", {})


def _needs_driver(backend: Backend) -> None:
    if driver_of(backend) is None:
        raise RuntimeError(f"{backend.device} has no driver, so there are no graphs")


def graph_checks(backend: Backend, quick: bool = False) -> list[Check]:
    """Every training × dtype × steps a graph."""
    rows = TRAININGS[::2] if quick else TRAININGS
    return [
        Check(
            f"{row.name}, {dtype}, {together} to a graph",
            partial(compare_graphs, row, backend, dtype, together),
        )
        for row in rows
        for dtype in ("float32", "float64")
        for together in (1, TOGETHER)
    ]


# Replays.


def step_calls(trainer: Trainer) -> list[Call]:
    """The calls of one recorded step on one batch, which is in place.

    They have run once: a capture needs what they load then.
    """
    x, y, w = (a[:BATCH] for a in data())
    trainer.step(x, y, w)
    with trainer.backend.active():
        step = trainer.training_step(Kind(x.shape, labels=True, weighted=True))
        assert step.program is not None
        segments = step.program.segments
    calls = [c for name in ("gradients", "loss", "update") for c in segments[name]]
    _run(trainer, calls, 1)
    return calls


def _run(trainer: Trainer, calls: list[Call], count: int) -> None:
    """The calls, one after the other, `count` times."""
    with trainer.backend.active(), np.errstate(all="ignore"):
        for _ in range(count):
            for function, arguments in calls:
                function(*arguments)


def replayed(training: Training, backend: Backend, dtype: str, count: int) -> Any:
    """What `count` launches of a graph leave, other work in between."""
    trainer = training.trainer(backend, dtype, 0)
    calls = step_calls(trainer)
    with backend.active():
        graph = Graph(calls, backend)
        for _ in zip(range(count), _other_work(backend), strict=False):
            graph.launch()
        backend.synchronize()
    return left(trainer)


def _other_work(backend: Backend) -> Iterator[None]:
    """Takes memory of many sizes, fills it with NaN, gives most of it back."""
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
) -> Results:
    """`count` launches amid other work, and as many runs of the calls."""
    _needs_driver(backend)
    with_graph = replayed(training, backend, dtype, count)
    trainer = training.trainer(backend, dtype, 0)
    calls = step_calls(trainer)
    _run(trainer, calls, count)
    difference = first_difference(with_graph, left(trainer))
    figures = {"replays": count}
    return (DIFFERS, difference, figures) if difference else (OK, "", figures)


def replay_checks(backend: Backend, count: int = REPLAYS) -> list[Check]:
    """The trainings that have most to lose, in float32."""
    return [
        Check(
            f"{count} replays, {row.name}",
            partial(compare_replays, row, backend, "float32", count),
        )
        for row in TRAININGS
    ]


# Lock-step.


def compare_lockstep(backend: Backend, dtype: str, rule: str, steps: int) -> Results:
    """NumPy and the device on the digits."""
    x, y = datasets.digits()
    problem = Problem(x / 16, y, (64, 32), 10, optimizer=rule)
    a = Way("cpu", get_backend("cpu"), dtype, jit=False)
    found = Lockstep(problem, a, Way(backend.device, backend, dtype)).run(steps)
    figures: Figures = {"steps": found.steps, "drift": found.drift}
    if found.largest is not None:
        figures["share_of_bound"] = round(found.largest.share, 4)
    if found.first is None:
        return OK, "", figures
    first = found.first
    note = (
        f"{first.tensor} in step {first.step}: off by {first.size:.2g}, "
        f"bound {first.bound:.2g}"
    )
    return DIFFERS, note, figures


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
