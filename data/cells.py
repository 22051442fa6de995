"""Cells of a text table: what is a number, what is missing, and what is a label."""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
