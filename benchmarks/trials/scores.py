"""Metrics with arguments of every form give the right number or a clear error."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import Array
from xpnet.benchmarks.trials.trial import trial
from xpnet.benchmarks.trials.values import SAMPLES, Value, fine_forms, wrong_forms
from xpnet.selection.calibration import reliability
from xpnet.training.metrics import METRICS, confusion_matrix


def _rows(random: np.random.Generator, n: int) -> Array:
    """Probabilities that are exact in float32."""
    p = random.integers(1, 9, (SAMPLES, n)).astype(np.float64)
    p[:, 0] += 64.0 - p.sum(axis=1)
    return p / 64.0


def _draw(random: np.random.Generator) -> tuple[Callable[..., Any], Any, list[Array]]:
    """(function, its right result, its arguments), of a random kind."""
    n = int(random.integers(2, 7))
    p, t = _rows(random, n), _rows(random, n)
    labels, said = random.integers(0, n, (2, SAMPLES))
    labels[0] = said[0] = n - 1
    kind = random.choice(["accuracy", "mean_absolute_error", "r2", "matrix", "gap"])
    if kind == "matrix":
        counts = np.zeros((n, n), int)
        np.add.at(counts, (labels, said), 1)
        return lambda a, b: confusion_matrix(a, b, n), counts, [said, labels]
    if kind == "gap":
        right = (p.argmax(axis=1) == labels).mean()
        gap = abs(right - p.max(axis=1).mean())
        return lambda a, b: reliability(a, b, 1).error, gap, [p, labels]
    if kind == "accuracy":
        wanted = (p.argmax(axis=1) == labels).mean()
        return METRICS[kind], wanted, [p, labels]
    if kind == "mean_absolute_error":
        return METRICS[kind], abs(p - t).mean(), [p, t]
    p, t = p[:, 0], t[:, 0]
    wanted = 1.0 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    return METRICS[kind], wanted, [p, t]


def _other(function: Callable[..., Any], arguments: list[Any], wanted: Any) -> bool:
    """Whether the result is another one, or an error."""
    try:
        return not np.allclose(function(*arguments), wanted, rtol=1e-6, atol=0.0)
    except Exception:
        return True


def _accepted(function: Callable[..., Any], arguments: list[Any]) -> Iterator[str]:
    """The fault of a call that must raise one of our own errors."""
    try:
        function(*arguments)
    except (ValueError, TypeError) as error:
        if not re.search("expected|the array is on cuda", str(error)):
            yield "an unclear error"
    except Exception:
        yield "an unclear error"
    else:
        yield "accepted"


def _forms(plain: Array) -> list[Value]:
    return [*fine_forms(plain, whole=False), lambda r: plain.reshape(len(plain), -1)]


def _wrong(plain: Array) -> list[Value]:
    if plain.dtype.kind == "f":
        return wrong_forms(plain)
    above, below = plain + plain.max() + 1, plain - plain.max() - 1
    return [*wrong_forms(plain), lambda r: r.choice([above, below, plain + 0.5])]


@trial("scores", 5000, 150, "another number", "accepted", "an unclear error")
def score_anything(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Metrics get a right form and a wrong form of a random argument."""
    draw, random = np.random.default_rng(seed), Random(seed)
    for _ in range(tries):
        function, wanted, given = _draw(draw)
        forms = [random.choice(_forms(each))(random) for each in given]
        if _other(function, forms, wanted):
            yield "another number"
        place = random.randrange(len(given))
        bad: list[Any] = list(given)
        bad[place] = random.choice(_wrong(given[place]))(random)
        yield from _accepted(function, bad)
