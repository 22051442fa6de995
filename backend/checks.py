"""What every room's boundary shares: the nearest valid name in one clear error."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest of `names`, then all of them."""
    names = sorted(names)
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}(valid: {', '.join(names)})"


def choose(name: str, table: Mapping[str, T], what: str) -> T:
    """The row `name` of `table`; raises ValueError with the nearest valid name."""
    if not isinstance(name, str):
        raise TypeError(
            f"{what}: expected a name, got {type(name).__name__}; {nearest('', table)}"
        )
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; {nearest(name, table)}")
    return table[name]
