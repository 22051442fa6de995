"""Many threads on one trainer: answers, saves and memory."""

import copy
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import xpnet as xn
from xpnet.benchmarks.trials.trial import trial

THREADS, ROWS, FEATURES, CLASSES = 4, 32, 20, 5
Call = Callable[[Any], Any]
CALLS = ("predict", "evaluate", "step")


def wrong_answers(
    fault: str, call: Call, inputs: Sequence[Any], calls: int
) -> Iterator[str]:
    """The fault per wrong answer; each thread calls with its own input."""
    wanted = [call(x) for x in inputs]

    def wrong(x: Any, right: Any) -> int:
        return sum(not np.array_equal(call(x), right) for _ in range(calls))

    with ThreadPoolExecutor(len(inputs)) as pool:
        yield from [fault] * sum(pool.map(wrong, inputs, wanted))


def trained(seed: int, **options: Any) -> tuple[xn.Trainer, list[Any], Any]:
    """(a trainer, the inputs of each thread, targets)."""
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((ROWS, FEATURES)) for _ in range(THREADS)]
    y = rng.integers(0, CLASSES, ROWS)
    model = xn.Sequential([xn.Dense(64, "relu"), xn.BatchNorm(), xn.Dense(CLASSES)])
    options = {"device": "cpu", **options}
    trainer = xn.Trainer(model, "softmax_cross_entropy", seed=seed, **options)
    trainer.fit(inputs[0], y, epochs=2, verbose=False)
    return trainer, inputs, y


WAYS: dict[str, dict[str, Any]] = {
    "": {},
    " without jit": {"jit": False},
    " eager": {"eager": True},
    " averaged": {"average": xn.WeightAverage(0.9)},
}


FAULTS = tuple(f"wrong{way}" for way in WAYS)


def _in_all_ways(call: Callable[..., Any], tries: int, seed: int) -> Iterator[str]:
    """The faults of `call(trainer, x, y)` with trainers of each way."""
    for way, options in WAYS.items():
        trainer, inputs, y = trained(seed, **options)
        on_one = partial(call, trainer, y=y)
        yield from wrong_answers(f"wrong{way}", on_one, inputs, tries)


@trial("predict", 2000, 20, *FAULTS)
def predict(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Four threads predict on one trainer."""
    return _in_all_ways(lambda trainer, x, y: trainer.predict(x), tries, seed)


@trial("evaluate", 2000, 20, *FAULTS)
def evaluate(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Four threads evaluate on one trainer."""
    return _in_all_ways(lambda t, x, y: [*t.evaluate(x, y).values()], tries, seed)


@trial("stack", 200, 3, "wrong predictions", "wrong scores")
def predict_together(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Four threads predict and evaluate on one stack."""
    trainers = [trained(seed + i)[0] for i in range(3)]
    _, inputs, y = trained(seed)
    stack = xn.Stack(trainers)

    def scores(x: Any) -> list[float]:
        return [v for row in stack.evaluate(x, y) for v in row.values()]

    yield from wrong_answers("wrong predictions", stack.predict, inputs, tries)
    yield from wrong_answers("wrong scores", scores, inputs, tries)


@trial("proba", 2000, 4, "wrong", "wrong of a copy")
def predict_proba(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Four threads call `predict_proba` of one classifier, and of a fresh copy."""
    from xpnet.sklearn import MLPClassifier

    _, inputs, y = trained(seed)
    fitted = MLPClassifier((30,), max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(inputs[0], y)
    fresh = copy.deepcopy(fitted)
    yield from wrong_answers("wrong", fitted.predict_proba, inputs, tries)
    yield from wrong_answers("wrong of a copy", fresh.predict_proba, inputs, tries)


@trial("saves", 300, 5, "torn", "not refused", "one moment alone")
def saves(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A trainer is saved during its training; each save must hold one moment of it.

    The targets are so far away that the loss |t - z| has the same gradient in every
    step, so each weight after s steps is known.
    """
    width, rows, last = 512, 64, 10**9
    x, y = np.ones((rows, 1)), np.full((rows, width), 1e6)
    model = xn.Sequential([xn.Dense(width, initializer="zeros")])
    rule = xn.SGD(2.0**-10, momentum=0.5)
    trainer = xn.Trainer(model, "mean_absolute_error", rule, device="cpu")
    trainer.fit(x, y, epochs=1, batch_size=rows, verbose=False)
    unit = float(trainer.parameters()["0.b"][0])
    thread = threading.Thread(
        target=lambda: trainer.fit(x, y, last, rows // 4, verbose=False)
    )
    moments = set()
    thread.start()
    while trainer.steps_done < 2:
        time.sleep(0.001)
    for _ in range(tries):
        trainer.save(folder / "model")
        saved = xn.Trainer.load(folder / "model", device="cpu")
        if not _one_moment(saved, unit):
            yield "torn"
        moments.add(saved.steps_done)
        for refused in (
            lambda: trainer.set_parameters({"0.b": np.zeros(width)}),
            lambda: trainer.step(x, y),
            lambda: trainer.fit(x, y, 1, verbose=False),
        ):
            try:
                refused()
                yield "not refused"
            except RuntimeError:
                pass
    trainer.stop = "enough"
    thread.join()
    if len(moments) == 1 < tries:
        yield "one moment alone"


def _one_moment(saved: xn.Trainer, unit: float) -> bool:
    """Whether all weights and momenta are those after `steps_done` steps."""
    steps, found = saved.steps_done, saved.parameters()
    momentum = saved.rule.slots[0][: found["0.b"].size]
    arrays = [found["0.W"], found["0.b"], momentum]
    # v = v / 2 + g, b = b + r v: the sum over s steps, in units of the first one.
    wanted = unit * (2 * steps - 2 * (1.0 - 0.5**steps))
    alike = all(np.ptp(array) == 0.0 for array in arrays)
    return alike and abs(float(found["0.b"][0]) - wanted) < 0.5 * unit


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@trial("lengths", 1000, 8, *(f"{name} too large" for name in CALLS))
def lengths(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Batches of 1 to `tries` samples take 1.2 times the memory of one, at most."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((tries, 512), np.float32), rng.integers(0, 10, tries)
    for name in CALLS:
        given = (x,) if name == "predict" else (x, y)
        model = xn.Sequential([xn.Dense(512, "relu"), xn.Dense(10)])
        trainer = xn.Trainer(model, "softmax_cross_entropy", device="cpu")
        call = getattr(trainer, name)
        call(*given)
        one = resident()
        for n in range(1, tries + 1):
            call(*(values[:n] for values in given))
        if resident() > 1.2 * one:
            yield f"{name} too large"
