"""What every room's boundary shares: the nearest valid name in one clear error."""

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest of `names`, then all of them."""
    names = sorted(names)
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}(valid: {', '.join(names)})"


def check_number(
    owner: str, name: str, value: Any, expected: str, right: Callable[[float], bool]
) -> float:
    """`value` as a float that is finite and `right`.

    Raises:
        TypeError: not a number.
        ValueError: another one than `expected` says.
    """
    text = f"{owner}: expected {name} {expected}"
    if isinstance(value, bool) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{text}, a number; got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and right(number)):
        raise ValueError(f"{text}; got {value}")
    return number


def check_whole(
    owner: str, name: str, value: Any, low: int, high: int | None = None
) -> int:
    """`value` as a whole number in low..high; raises ValueError otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        span = f">= {low}" if high is None else f"from {low} to {high}"
        where = f"{owner}: expected {name}" if owner else f"{name}: expected"
        raise ValueError(f"{where} {span}, a whole number; got {value!r}")
    return int(value)


def choose(name: str, table: Mapping[str, T], what: str) -> T:
    """The row `name` of `table`; raises ValueError with the nearest valid name."""
    if not isinstance(name, str):
        raise TypeError(
            f"{what}: expected a name, got {type(name).__name__}; {nearest('', table)}"
        )
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; {nearest(name, table)}")
    return table[name]
