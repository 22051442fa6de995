"""The one table of ways to train a case: they give the same, most to the bit."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

import xpnet as xn
from tests.cases import BATCH, CASES, SAMPLES, Case
from tests.cuda.fibers import fiber_backend
from tests.cuda.guards import guarded
from tests.standin import cupy, standin_backend
from xpnet.backend import Backend
from xpnet.compiler import Program, tuning
from xpnet.compiler import c as native
from xpnet.compiler.c import toolchain
from xpnet.execution.batch import BatchSpec
from xpnet.execution.steps import StepBlock
from xpnet.stack import fit
from xpnet.training.data import Orders, mean_loss, samples_of
from xpnet.training.loop import plain_loop

EPOCHS, MEMBERS = 3, 3
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
Arrays = dict[str, np.ndarray]
Rows = list[dict[str, float]]


def host(array: Any) -> np.ndarray:
    """A copy in the host's memory."""
    return array.get() if isinstance(array, cupy.ndarray) else np.array(array)


def everything(trainer: xn.Trainer) -> Arrays:
    """Copies of all that training has changed."""
    found = {name: host(array) for name, array in trainer.arrays().items()}
    return found | {"counters": np.array([trainer.steps_done, trainer.epochs_done])}


def curves(history: xn.History) -> list[dict[str, float]]:
    """The rows of the history without what a clock says."""
    clock = ("seconds", "samples_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in history]


def same(a: Any, b: Any) -> bool:
    """Whether two lists of arrays (or dicts of them) are equal bit by bit."""
    if isinstance(a, dict):
        return list(a) == list(b) and same(list(a.values()), list(b.values()))
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(map(np.asarray, a), map(np.asarray, b), strict=True)
    )


def assert_close(found: Arrays, wanted: Arrays, tolerance: float) -> None:
    """Within rounding of the size of the array that an entry belongs to."""
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        size = max(1.0, abs(np.asarray(values, np.float64)).max(initial=0.0))
        np.testing.assert_allclose(
            found[name], values, rtol=0, atol=size * tolerance, err_msg=name
        )


def assert_same_curves(found: Any, wanted: Any, tolerance: float) -> None:
    """Of histories: the same rows, of the same columns."""
    assert found.stopped == wanted.stopped
    assert len(found) == len(wanted)
    for a, b in zip(curves(found), curves(wanted), strict=True):
        assert list(a) == list(b)
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=tolerance, abs=tolerance), name


def rows(i: int, samples: int = SAMPLES) -> np.ndarray:
    """Network i's samples: of several sizes, so that the last batches differ."""
    return np.setdiff1d(np.arange(samples), held(i, samples))


def held(i: int, samples: int = SAMPLES) -> np.ndarray:
    """The samples that network i is validated with."""
    return np.arange(i % 4, samples, 4 + i % 2)


@contextmanager
def programs() -> Iterator[list[Program]]:
    """The programs that are made in the block."""
    made: list[Program] = []
    real = Program.__init__

    def noted(self: Program, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "__init__", noted)
        yield made


# What a way gives, all on the host: {name: array}, the same names in each.


def outcome(trainer: xn.Trainer, case: Case, rows: Rows) -> Arrays:
    """Parameters, slots, losses, predictions and scores."""
    x, y = case.data
    scores = trainer.evaluate(x, y, case.weights, batch_size=BATCH)
    return everything(trainer) | {
        **{
            name: np.array([row[name] for row in rows if name in row])
            for name in rows[0]
        },
        "prediction": trainer.predict(x, batch_size=BATCH),
        "scores": np.array([scores[name] for name in sorted(scores)]),
    }


def fitted(trainer: xn.Trainer, *data: Any, diagnose: bool = False) -> Rows:
    """`fit`; epochs that nothing looks at may be taken in one go."""
    x, y, w, epochs, kept = data
    options = {"sample_weight": w, "verbose": False, "diagnose": diagnose}
    return curves(trainer.fit(x, y, epochs, BATCH, kept, **options))


def plain(trainer: xn.Trainer, *data: Any) -> Rows:
    """The specification: `plain_loop`."""
    x, y, w, epochs, kept = data
    samples, rows = samples_of(trainer, x, y, w), []
    for _ in range(epochs):
        (loss,) = plain_loop(trainer, samples, BATCH, 1)
        rows.append(_row(trainer, loss, kept))
    return rows


def stepped(trainer: xn.Trainer, *data: Any) -> Rows:
    """One call of `step` for each batch."""
    x, y, w, epochs, kept = data
    orders, rows = Orders(trainer.seed, BATCH), []
    samples = samples_of(trainer, x, y, w)
    for epoch in range(trainer.epochs_done, trainer.epochs_done + epochs):
        order, losses = orders.of(epoch, len(x)), []
        for start in range(0, len(x), BATCH):
            part = order[start : start + BATCH]
            trainer.step(x[part], y[part], None if w is None else w[part])
            losses.append(trainer.loss)
        trainer.epochs_done += 1
        loss = mean_loss(np.array(losses), samples.weights(order, BATCH))
        rows.append(_row(trainer, float(loss), kept))
    return rows


def _row(trainer: xn.Trainer, loss: float, kept: Any) -> dict[str, float]:
    """What the history of `fit` has for an epoch."""
    scores = {} if kept is None else trainer.evaluate(*kept)
    own = {"loss": loss, "learning_rate": trainer.rates.at(trainer.steps_done - 1)}
    return own | {f"val_{name}": score for name, score in scores.items()}


def loaded(device: Callable[[], Any]) -> Callable[[xn.Trainer], xn.Trainer]:
    """Saves a trainer and loads it."""

    def again(trainer: xn.Trainer) -> xn.Trainer:
        with TemporaryDirectory() as folder:
            trainer.save(Path(folder) / "model")
            return xn.Trainer.load(Path(folder) / "model", device())

    return again


def alone(
    case: Case,
    train: Callable[..., Rows] = fitted,
    between: Callable[[xn.Trainer], xn.Trainer] = lambda trainer: trainer,
    device: Callable[[], Any] = lambda: "cpu",
    **options: Any,
) -> Arrays:
    """An epoch that is validated, two that may be taken in one go, and a step."""
    trainer = case.trainer(device=device(), **options)
    whole = slice(BATCH)
    # Three batches, and of a weighted case a last one of two samples.
    last = SAMPLES if case.weighted else 3 * BATCH
    (x, y), w = (part[:last] for part in case.data), case.weights
    rows = train(trainer, x, y, w, 1, (x[whole], y[whole]))
    trainer = between(trainer)
    rows += train(trainer, x, y, w, EPOCHS - 1, None)
    trainer.step(x[whole], y[whole], None if w is None else w[whole])
    loss = trainer.loss
    return outcome(trainer, case, rows) | {"loss": np.array(loss)}


def apart(case: Case, jit: bool = False) -> Arrays:
    """Networks trained one by one, each on its own samples."""
    x, y = case.data
    found: Arrays = {}
    for i in range(MEMBERS):
        trainer, own, kept = case.trainer(i, jit=jit), rows(i), held(i)
        w = case.weights
        validation = (x[kept], y[kept], *(() if w is None else (w[kept],)))
        history = trainer.fit(
            x[own], y[own], EPOCHS, BATCH, validation,
            sample_weight=None if w is None else w[own], verbose=False,
        )  # fmt: skip
        left = outcome(trainer, case, curves(history))
        found |= {f"{i} {k}": v for k, v in left.items()}
    return found


def stacked(case: Case, jit: bool) -> Arrays:
    """The same networks as one stack."""
    x, y = case.data
    stack = xn.Stack([case.trainer(i, jit=jit) for i in range(MEMBERS)])
    histories = stack.fit(
        x, y, EPOCHS, BATCH, [rows(i) for i in range(MEMBERS)],
        validation_rows=[held(i) for i in range(MEMBERS)],
        sample_weight=case.weights, verbose=False,
    )  # fmt: skip
    predicted = stack.predict(x, batch_size=BATCH)
    scores = stack.evaluate(x, y, sample_weight=case.weights, batch_size=BATCH)
    found: Arrays = {}
    for i, (trainer, history) in enumerate(zip(stack.trainers, histories, strict=True)):
        own = outcome(trainer, case, curves(history))
        own["prediction"] = predicted[i]
        own["scores"] = np.array([scores[i][name] for name in sorted(scores[i])])
        found |= {f"{i} {k}": v for k, v in own.items()}
    return found


# What a way changes around a training.


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of BLAS; several share even the smallest program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backend, "threads", property(lambda self: count))
        if count > 1:
            patch.setattr(tuning, "WORK_PER_THREAD", 1)
            patch.setattr(tuning, "ELEMENTS_PER_PART", 8)
        yield


def alone_at_work() -> Any:
    """One thread."""
    return threads(1)


@contextmanager
def small_tiles() -> Iterator[None]:
    """Two networks of a stack at a time, by two threads."""
    chosen: Any = StepBlock.most
    small = property(lambda self: min(2, chosen.fget(self)))
    with pytest.MonkeyPatch.context() as patch, threads(1):
        patch.setattr(StepBlock, "most", small)
        patch.setattr(fit, "workers", lambda members: 2)
        yield


@contextmanager
def optimised() -> Iterator[None]:
    """C with the options that the users get, where tests are compiled quickly."""
    options = [{"-O1": "-O3"}.get(option, option) for option in toolchain.OPTIONS]
    with pytest.MonkeyPatch.context() as patch, threads(1):
        patch.setattr(toolchain, "OPTIONS", options)
        toolchain.compiler.cache_clear()
        yield
    toolchain.compiler.cache_clear()


@contextmanager
def between_guards() -> Iterator[None]:
    """Memory of the device lies between guard words, which nothing may change."""
    with threads(1), guarded():
        yield


@dataclass(frozen=True)
class Way:
    """How a case is trained.

    Attributes:
        run: gives what the training has left.
        reference: the way whose results it must give; None for a reference.
        rounds: whether sums in another order may change them by rounding, as much as
            TOLERANCE says; otherwise they are the same to the bit.
        double: a case of float32 is trained in float64 instead: each step multiplies
            the rounding of sums in another order.
        within: a context in which it runs.
        needs: "C" for a C compiler, "g++" for kernels on the CPU.
    """

    run: Callable[[Case], Arrays]
    reference: str | None = None
    rounds: bool = False
    double: bool = False
    within: Callable[[], Any] = alone_at_work
    needs: str = ""

    def __call__(self, case: Case) -> tuple[Arrays, list[Program]]:
        """What the case's training leaves, and the programs that were made for it."""
        with self.within(), programs() as made:
            return self.run(self.case(case)), made

    def case(self, case: Case) -> Case:
        """The case as this way trains it."""
        return replace(case, dtype="float64") if self.double else case

    def tolerance(self, case: Case) -> float:
        """How far from the reference a result may be."""
        return TOLERANCE[self.case(case).dtype] if self.rounds else 0.0


def gpu_calls(ordinal: int) -> Callable[[], Backend]:
    """A GPU of which the calls of CuPy are run."""
    return lambda: standin_backend(ordinal)


def kernels(steps_per_graph: int) -> Callable[[Case], Arrays]:
    """A training by the kernels' texts."""
    options = {"device": lambda: fiber_backend(1), "steps_per_graph": steps_per_graph}
    return partial(alone, **options)


WAYS = {
    "calls": Way(partial(alone, jit=False)),
    "plain": Way(partial(alone, train=plain, eager=True), "calls"),
    "eager": Way(partial(alone, eager=True), "calls"),
    "steps": Way(partial(alone, train=stepped, jit=False), "calls"),
    "diagnosed": Way(
        partial(alone, train=partial(fitted, diagnose=True), jit=False), "calls"
    ),
    "loaded": Way(partial(alone, between=loaded(lambda: "cpu"), jit=False), "calls"),
    "C": Way(partial(alone, jit=True), "calls", needs="C"),
    "optimised": Way(partial(alone, jit=True), "calls", within=optimised, needs="C"),
    "steps in C": Way(partial(alone, train=stepped, jit=True), "calls", needs="C"),
    "parts": Way(partial(alone, jit=False), within=partial(threads, 3)),
    "threads": Way(
        partial(alone, jit=True), "parts", within=partial(threads, 3), needs="C"
    ),
    "float64": Way(partial(alone, jit=False), double=True),
    "device": Way(
        partial(alone, device=gpu_calls(1)), "float64", rounds=True, double=True
    ),
    "eager on a device": Way(
        partial(alone, device=gpu_calls(0), eager=True),
        "device",
        rounds=True,
        double=True,
    ),
    "loaded on a device": Way(
        partial(alone, device=gpu_calls(1), between=loaded(gpu_calls(0))),
        "device",
        rounds=True,
        double=True,
    ),
    "kernels": Way(
        kernels(0),
        "float64",
        rounds=True,
        double=True,
        within=between_guards,
        needs="g++",
    ),
    "graph": Way(kernels(2), "kernels", double=True, needs="g++"),
    "one by one": Way(apart),
    "stack": Way(partial(stacked, jit=False), "one by one", rounds=True),
    "stack in C": Way(
        partial(stacked, jit=True), "stack", within=small_tiles, needs="C"
    ),
}
THERE = {
    "": True,
    "C": native.available(),
    "g++": shutil.which("g++") is not None,
}
# Compilers take their time: some ways are gone by few cases, with all that differs
# between them: kernels of each kind of layer, loss and rule; stacks of each number.
EACH = (
    "dense", "deep", "dropout", "noise", "batch norm", "layer norm", "max norm",
    "dense in float64", "sgd with all", "noisy", "rmsprop", "average",
    "transforms", "own transforms",
)  # fmt: skip
FEW = ("dropout", "batch norm", "noisy in float64", "all, values")
KERNELS = (
    "dense", "dropout in float64", "noise", "layer norm", "all", "radam",
    "own transforms",
)  # fmt: skip
SOME = {
    "threads": EACH,
    "stack in C": EACH,
    "optimised": (*FEW, "layer norm", "leaky", "smooth", "rmsprop"),
    "steps in C": FEW[:2],
    "eager on a device": FEW,
    "loaded on a device": FEW,
    "kernels": KERNELS,
    "graph": KERNELS,
}


def pairs() -> list[tuple[str, str]]:
    """(case, way) of every training that has a reference."""
    compared = [name for name, way in WAYS.items() if way.reference is not None]
    return [
        (case, way)
        for case in CASES
        for way in compared
        if case in SOME.get(way, CASES)
        # What is one's own is not saved.
        if not way.startswith("loaded") or not case.startswith("own")
    ]


def record_kernels(case: Case, device: Backend) -> None:
    """Record the steps that a case takes on a device, without taking them."""
    case = WAYS["kernels"].case(case)
    trainer = case.trainer(device=device)
    shape = case.data[0].shape[1:]
    trainer.build(shape)
    for count in (BATCH, SAMPLES % BATCH):
        for weighted in sorted({False, case.weighted}):
            kind = BatchSpec((count, *shape), case.targets == "labels", weighted)
            trainer.training_step(kind)
            trainer.evaluation_step(kind, True)
        trainer.evaluation_step(BatchSpec((count, *shape), False, False), False)
