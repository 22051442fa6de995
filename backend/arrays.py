"""What the equations are written over."""

from math import isfinite
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray

Array = Any  # a NumPy, CuPy or traced array
Shape = tuple[int, ...]


def address(array: Array) -> int:
    """Where an array of NumPy's, or one on a device, begins."""
    host = isinstance(array, np.ndarray)
    told = array.__array_interface__ if host else array.__cuda_array_interface__
    found: int = told["data"][0]
    return found


def all_finite(values: NDArray) -> bool:
    """Whether all values are finite, by one dot product where that can tell."""
    if values.dtype.kind != "f":
        return True
    flat = values.reshape(-1)
    # A sum of squares is finite only if every term is; it may overflow, though, of
    # which `dot` warns and `vdot` does not.
    return isfinite(np.vdot(flat, flat)) or bool(np.isfinite(flat).all())
