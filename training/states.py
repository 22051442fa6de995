"""States of callbacks as JSON and named arrays, and back.

Plain values are None, booleans, numbers, text, and lists, tuples and dicts of these; an
array may stand wherever a plain value may. What JSON has not is a list with a mark.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray

FLOAT, TUPLE, ARRAY, NUMBER = "float", "tuple", "array", "number"


def is_array(value: Any) -> bool:
    """Whether `value` is an array of NumPy or CuPy with numbers in it."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return hasattr(value, "strides") and kind != "" and kind in "biuf"


def is_plain(value: Any) -> bool:
    """Whether `pack` can take it."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_plain(v) for k, v in value.items())
    return type(value) in (bool, int, float, str, type(None)) or is_array(value)


def pack(
    value: Any, arrays: dict[str, NDArray], to_numpy: Callable[[Any], Any], name: str
) -> Any:
    """`value` as JSON; copies of its arrays go into `arrays`.

    Args:
        value: a plain value, or arrays within plain values.
        arrays: by name.
        to_numpy: brings an array to the host.
        name: what the names of its arrays begin with.

    Raises:
        TypeError: something else, with its name.
    """
    if isinstance(value, list | tuple):
        rows = [pack(v, arrays, to_numpy, f"{name}.{i}") for i, v in enumerate(value)]
        return [TUPLE, rows] if isinstance(value, tuple) else [None, rows]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {k: pack(v, arrays, to_numpy, f"{name}.{k}") for k, v in value.items()}
    if type(value) is float and not math.isfinite(value):
        return [FLOAT, repr(value)]
    if is_array(value):
        arrays[name] = np.array(to_numpy(value), order="C")
        return [NUMBER if isinstance(value, np.generic) else ARRAY, name]
    if type(value) in (bool, int, float, str, type(None)):
        return value
    raise TypeError(
        f"{name}: expected None, numbers, text, arrays, or lists and dicts of these, "
        f"got {type(value).__name__}"
    )


def unpack(packed: Any, arrays: dict[str, NDArray]) -> Any:
    """What `pack` was given.

    Raises:
        ValueError: nothing that it gave.
        KeyError: an array that is not there.
    """
    if isinstance(packed, dict):
        return {name: unpack(value, arrays) for name, value in packed.items()}
    if not isinstance(packed, list):
        return packed
    if len(packed) != 2:
        raise ValueError(f"expected a mark and a value, got {packed!r}")
    mark, value = packed
    if mark == FLOAT:
        return float(value)
    if mark in (ARRAY, NUMBER):
        return arrays[value] if mark == ARRAY else arrays[value][()]
    if mark not in (None, TUPLE) or not isinstance(value, list):
        raise ValueError(f"expected a mark and a value, got {packed!r}")
    rows = [unpack(row, arrays) for row in value]
    return tuple(rows) if mark == TUPLE else rows
