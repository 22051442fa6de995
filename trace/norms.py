"""Arrays that are scaled back to a norm, whatever the size of their squares."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.backend import Array

TINY = 1e-30  # an array of norm 0 stays as it is
# Of each width in bytes: in this unit no sum of squares overflows, and where one does
# in a unit of 1 nothing that counts is lost in this.
UNITS = {4: 2.0**-80, 8: 2.0**-540}


def within(x: Array, most: Any, squares: Callable[[Array], Array]) -> Array:
    """x · min(1, most / ‖x‖).

    Args:
        x: float32 or float64.
        most: the largest norm, above 0.
        squares: ‖x‖² of x, of a shape that is broadcast to that of x.
    """
    unit = UNITS[x.dtype.itemsize]
    square, small = squares(x), x * unit
    factor = np.minimum(most / np.maximum(np.sqrt(square), TINY), 1.0)
    large = np.minimum(most / np.maximum(np.sqrt(squares(small)), TINY), 1.0 / unit)
    return np.where(square < np.inf, x * factor, small * large)
