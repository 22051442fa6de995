"""The columns of a text table, and their cells: numbers, labels, what is missing."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xpnet.common import nearest, printable
from xpnet.data.files import listed, shown


class MissingColumnsError(ValueError):
    """A table has not all the columns that were asked for.

    Attributes:
        missing: their names.
        names: of the columns that are there.
    """

    def __init__(self, message: str, missing: list[str], names: tuple[str, ...]):
        super().__init__(message)
        self.missing, self.names = missing, names


class Columns(NamedTuple):
    """Where a table's features and its target, if any, stand among its `names`."""

    names: tuple[str, ...]
    features: list[int]
    target: int | None


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raise ValueError unless `names` is a header: a different name for each column."""
    if not any(names):
        raise ValueError(
            f"{shown(path)}: expected a header of column names, got an empty line or "
            "file; hint: put the names into the first line"
        )
    # Columns called 0, 1, 2, ... are what pandas writes for an array without names.
    numbered = names == tuple(map(str, range(len(names))))
    if all(map(is_number, names)) and not numbered:
        raise ValueError(
            f"{shown(path)}: expected a header of column names, got the numbers "
            f"{printable(', '.join(names[:3]))}; hint: put names into the first line"
        )
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise ValueError(
                f"{shown(path)}: expected a name for every column, got none for column "
                f"{i + 1}; hint: name it, or leave out an index (pandas: index=False)"
            )
        first = seen.setdefault(name, i)
        if first != i:
            raise ValueError(
                f"{shown(path)}: expected different column names, got {name!r} twice; "
                f"hint: rename columns {first + 1} and {i + 1}"
            )


def choose_columns(
    path: Path,
    names: tuple[str, ...],
    target: str | None,
    features: Sequence[str] | None,
) -> Columns:
    """The columns to read: `features` in their order, or all `names` but the target.

    Raises ValueError for unknown names, with the nearest valid one, and for no
    features, doubled ones, or the target among them.
    """
    if features is None:
        features = [name for name in names if name != target]
    index = {name: i for i, name in enumerate(names)}
    wanted = [("target", target), *(("column", name) for name in features)]
    missing = [(what, name) for what, name in wanted if name and name not in index]
    if missing:
        what, name = missing[0]
        raise MissingColumnsError(
            f"{shown(path)}: unknown {what} {name!r}; {nearest(name, names)}",
            [name for _, name in missing],
            names,
        )
    if not features or target in features or len(set(features)) < len(features):
        raise ValueError(
            f"{shown(path)}: expected at least one feature column, each once and apart "
            f"from the target, got {listed(features)}; hint: columns are separated by "
            "commas, semicolons or tabs"
        )
    at = None if target is None else index[target]
    return Columns(names, [index[name] for name in features], at)


MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def is_number(cell: str) -> bool:
    """Whether `cell` is a number; NaN and infinities are numbers too."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def bad_cell(cell: str) -> str | None:
    """What is wrong with a feature cell, or None for a number float32 can hold."""
    text = cell.strip()
    if text.lower() in MISSING:
        return (
            f"expected a number, got a missing value ({text!r}); hint: fill it in or "
            "drop the line"
        )
    if DECIMAL_COMMA.fullmatch(text):
        return f"expected a number, got {text!r}; hint: write decimals with a point"
    if not is_number(cell):
        got = cell if is_number(text) else text  # `strip` takes more than `float` does
        return (
            f"expected a number, got the text {got[:40]!r}; hint: encode it as "
            "numbers or drop the column"
        )
    if not abs(float(text)) <= float(np.finfo(np.float32).max):
        return (
            f"expected a finite number in the range of float32, got {text}; hint: "
            "drop the line, or measure in a larger unit"
        )
    return None


def target_values(
    cells: list[str], lines: list[int], task: str, what: str
) -> NDArray[Any]:
    """The target's cells as one array: float64 if all are numbers, else text.

    Raises ValueError, naming the line, for an empty or infinite cell, and for text
    among numbers that cannot be labels: fractions, a regression, or NA among numbers.
    """
    for cell, line in zip(cells, lines, strict=True):
        if cell.lower() in ("", "nan") or (is_number(cell) and math.isinf(float(cell))):
            raise ValueError(
                f"{what}, line {line}: expected a value, got {cell!r}, a missing or "
                "infinite one; hint: fill it in or drop the line"
            )
    numeric = [is_number(cell) for cell in cells]
    if all(numeric):
        return np.array([float(cell) for cell in cells])
    first = numeric.index(False)
    numbers = (cell for cell in cells if is_number(cell))
    fractions = any(not float(number).is_integer() for number in numbers)
    hole = any(numeric) and cells[first].lower() in MISSING
    if hole or task == "regression" or (task == "auto" and fractions):
        raise ValueError(
            f"{what}, line {lines[first]}: expected a number, got the text "
            f"{cells[first][:40]!r}; hint: correct it, or ask for task classification"
        )
    return np.array(cells)
