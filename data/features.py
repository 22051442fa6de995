"""Feature arrays: brought to (samples, features), checked, and walked in blocks.

Nothing here copies a whole memory-mapped array.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 20  # values in a block: 8 MiB in float64


def blocks(x: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The rows of `x` (samples, features) in order, as (where, float64 copy)."""
    step = max(1, BLOCK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        where = slice(start, start + step)
        yield where, np.array(x[where], dtype=np.float64, subok=False)


def check_finite(block: NDArray[Any], first_row: int, what: str) -> None:
    """Raise ValueError naming the first row and column of a NaN or infinity."""
    if np.isfinite(block).all():
        return
    row, column = np.argwhere(~np.isfinite(block))[0]
    raise ValueError(
        f"{what}: expected finite numbers, got {block[row, column]} at row "
        f"{first_row + row}, column {column} (counted from 0); hint: fill in or drop "
        f"such rows first"
    )


def as_features(x: NDArray[Any], what: str) -> NDArray[Any]:
    """`x` as (samples, features), keeping its dtype; a view wherever NumPy can.

    Images (samples, height, width) are flattened, and (samples,) becomes one feature.
    Raises ValueError for anything but finite real numbers, and for an empty array.
    """
    if x.dtype.kind not in "biuf":
        raise ValueError(
            f"{what}: expected numbers, got dtype {x.dtype}; hint: encode text or "
            f"complex values as real numbers"
        )
    if x.size == 0:
        raise ValueError(
            f"{what}: expected (samples, features) with at least one of each, got "
            f"shape {x.shape}; hint: check how the array was made"
        )
    x = x.reshape(len(x) if x.ndim else 1, -1)
    if x.dtype.kind == "f":
        for where, block in blocks(x):
            check_finite(block, where.start, what)
    return x
