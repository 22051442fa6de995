"""What every room's boundary shares: the nearest valid name in one clear error."""

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest of `names`, then all of them."""
    names, text = sorted(names), str(name)
    initials = ["".join(word[:1] for word in n.split("_")) == text for n in names]
    close = [n for n, same in zip(names, initials, strict=True) if same]  # "mse"
    close = close or [n for n in names if sorted(n) == sorted(text)]  # "adma"
    close = close or get_close_matches(text, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}(valid: {', '.join(names)})"


def check_number(
    owner: str, value: Any, expected: str, right: Callable[[float], bool]
) -> float:
    """`value` as a float that is finite and `right`.

    Args:
        owner: what has this argument.
        value: the argument.
        expected: what it must be, with its name: "0 <= rate < 1".
        right: the same as a function.

    Raises:
        TypeError: not a number.
        ValueError: another one than `expected` says.
    """
    text = f"{owner}: expected {expected}"
    if isinstance(value, bool) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{text}, a number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and right(number)):
        raise ValueError(f"{text}, got {value}")
    return number


def check_whole(
    owner: str, name: str, value: Any, low: int, high: int | None = None
) -> int:
    """`value` as a whole number in low..high; raises ValueError otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        span = f">= {low}" if high is None else f"from {low} to {high}"
        if owner:
            raise ValueError(
                f"{owner}: expected {name} {span}, a whole number; got {value!r}"
            )
        raise ValueError(f"{name}: expected a whole number {span}, got {value!r}")
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
