"""Metrics are given arguments of every form: the right number or a clear error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.benchmarks.trials.trial import Trial
from xpnet.selection.calibration import reliability
from xpnet.training.metrics import METRICS, confusion_matrix

Rows = np.ndarray[Any, Any]
SAMPLES = 12
# What changes the form of an array and not its meaning.
FORMS: dict[str, Callable[[Rows], Any]] = {
    "array": lambda a: a,
    "list": lambda a: a.tolist(),
    "column": lambda a: a.reshape(len(a), -1),
    "strided": lambda a: np.repeat(a, 3, axis=0)[::3],
    "float32": lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a,
    "narrow": lambda a: a.astype(np.uint8) if a.dtype.kind == "i" else a,
    "unsigned": lambda a: a.astype(np.uint64) if a.dtype.kind == "i" else a,
    "reversed twice": lambda a: a[::-1].copy()[::-1],
}
# What makes it unfit.
WRONG: dict[str, Callable[[Rows], Any]] = {
    "shorter": lambda a: a[:-1],
    "empty": lambda a: a[:0],
    "deeper": lambda a: a[..., None, None],
    "text": lambda a: a.astype(str),
    "complex": lambda a: a + 1j,
    "objects": lambda a: np.array([None] * len(a)),
    "a number": lambda a: float(a.reshape(-1)[0]),
    "none": lambda a: None,
    "NaN": lambda a: np.where(a == a.reshape(-1)[0], np.nan, a),
    "infinite": lambda a: np.where(a == a.reshape(-1)[0], np.inf, a),
}
WRONG_LABELS: dict[str, Callable[[Rows], Any]] = WRONG | {
    "too high": lambda a: a + a.max() + 1,
    "negative": lambda a: a - a.max() - 1,
    "halves": lambda a: a + 0.5,
}


def _rows(random: np.random.Generator, n: int) -> Rows:
    """Probabilities that float32 holds to the bit."""
    p = random.integers(1, 9, (SAMPLES, n)).astype(np.float64)
    p[:, 0] += 64.0 - p.sum(axis=1)
    return p / 64.0


def _draw(random: np.random.Generator) -> tuple[Callable[..., Any], Any, list[Rows]]:
    """(function, what it should give, its arguments), of a random kind."""
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
    """Whether it gives something else, or an error."""
    try:
        return not np.allclose(function(*arguments), wanted, rtol=1e-6, atol=0.0)
    except Exception:
        return True


def _accepted(function: Callable[..., Any], arguments: list[Any]) -> tuple[int, int]:
    """(accepted, refused by another error than ours)."""
    try:
        function(*arguments)
    except (ValueError, TypeError) as error:
        return 0, int("expected" not in str(error))
    except Exception:
        return 0, 1
    return 1, 0


def score_anything(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """A right form and a wrong one of a random argument, of a random function."""
    random = np.random.default_rng(seed)
    other = accepted = unclear = 0
    for _ in range(tries):
        function, wanted, given = _draw(random)
        forms = [FORMS[random.choice(list(FORMS))](each) for each in given]
        other += _other(function, forms, wanted)
        place = int(random.integers(len(given)))
        table = WRONG_LABELS if given[place].dtype.kind == "i" else WRONG
        bad: list[Any] = list(given)
        bad[place] = table[random.choice(list(table))](given[place])
        found = _accepted(function, bad)
        accepted, unclear = accepted + found[0], unclear + found[1]
    return {
        "another number": other,
        "accepted": accepted,
        "an unclear error": unclear,
    }


SCORES = [
    Trial(
        "scores", "metrics are given every form of argument", score_anything, 5000, 150
    )
]
