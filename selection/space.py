"""Settings to try: grids of values, and ranges to draw from."""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xpnet.common import (
    check_flag,
    check_number,
    check_whole,
    explains_arguments,
    nearest,
)

Settings = dict[str, Any]
FIT = ("epochs", "batch_size")  # settings of `fit`, not of the network


@explains_arguments
@dataclass(frozen=True)
class Uniform:
    """A number between low and high, all equally likely; whole: a whole number.

    Raises:
        ValueError: low not below high.
    """

    low: float
    high: float
    whole: bool = False
    above: ClassVar[float] = -math.inf  # what low must be

    def __post_init__(self) -> None:
        kind, above = type(self).__name__, self.above
        check_number(kind, self.low, f"low > {above:g}", lambda v: v > above)
        check_number(kind, self.high, "high > low", lambda v: v > self.low)
        check_flag(kind, "whole", self.whole)

    def draw(self, rng: np.random.Generator) -> float:
        """One number."""
        if self.whole:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        return float(rng.uniform(self.low, self.high))


@explains_arguments
@dataclass(frozen=True)
class LogUniform(Uniform):
    """A number whose logarithm is uniform between those of low and high.

    For values of unknown order of magnitude, such as learning rates and penalties:
    Bergstra and Bengio, JMLR 13 (2012). whole: rounded to a whole number.

    Raises:
        ValueError: low not above 0, or not below high.
    """

    above = 0.0

    def draw(self, rng: np.random.Generator) -> float:
        """One number."""
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


def check_names(make: Callable[..., Any], space: Any) -> dict[str, Any]:
    """`space` as a dictionary, with names of arguments of `make` or `fit`.

    Raises:
        TypeError: not a mapping.
        ValueError: an unknown name; the message has the nearest.
    """
    if not isinstance(space, Mapping):
        raise TypeError(
            "settings: expected {name: values}, got " + type(space).__name__
        )
    parameters = inspect.signature(make).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} | {*FIT}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in space:
        if name not in known and not anything:
            raise ValueError(f"unknown setting {name!r}; {nearest(name, known)}")
    return dict(space)


def grid(space: Mapping[str, Any]) -> list[Settings]:
    """Every combination of the values; those of the last name change fastest.

    Raises:
        TypeError, ValueError: values that are no list, an empty list, a range.
    """
    for name, values in space.items():
        if isinstance(values, Uniform):
            raise ValueError(
                f"{name}: expected a list of values, got {values}; ranges are for "
                "random_search"
            )
        _check_values(name, values)
    rows = itertools.product(*space.values())
    return [dict(zip(space, row, strict=True)) for row in rows]


def draws(space: Mapping[str, Any], trials: int, seed: int) -> list[Settings]:
    """`trials` different settings drawn from ranges and lists.

    All combinations if there are only lists, with fewer combinations than `trials`.
    """
    trials = check_whole("", "trials", trials, 1)
    ranges = [v for v in space.values() if isinstance(v, Uniform)]
    for name, values in space.items():
        if not isinstance(values, Uniform):
            _check_values(name, values)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    if not ranges:
        every = grid(space)
        chosen = rng.permutation(len(every))[:trials].tolist()
        return [every[i] for i in chosen]
    found: dict[str, Settings] = {}
    for _ in range(100 * trials):  # there may be fewer whole numbers
        row = {name: _draw(values, rng) for name, values in space.items()}
        found.setdefault(repr(row), row)
        if len(found) == trials:
            break
    return list(found.values())


def _draw(values: Any, rng: np.random.Generator) -> Any:
    if isinstance(values, Uniform):
        return values.draw(rng)
    return values[int(rng.integers(len(values)))]


def _check_values(name: str, values: Any) -> None:
    text = isinstance(values, str) or not isinstance(values, Sequence | np.ndarray)
    if text or not len(values):
        raise TypeError(
            f"{name}: expected a list of values to try, got {values!r}; one value is a "
            "list of one"
        )


def shown(value: Any) -> str:
    """A setting's value as a table shows it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return "-".join(map(shown, value)) or "none"
    if callable(value):
        return getattr(value, "__name__", repr(value))
    return str(value)
