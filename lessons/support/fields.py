"""Functions of two variables, each hard to minimise for another reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]
TINY = 1e-20  # h of the complex step


@dataclass(frozen=True)
class Field:
    """A function with minimum 0, a start and the part of the plane to draw.

    Attributes:
        f: f(x, y) of numbers or arrays, real or complex.
        start: the first point of a descent.
        x, y: the ranges to draw.
    """

    f: Callable[[Any, Any], Any]
    start: tuple[float, float]
    x: tuple[float, float]
    y: tuple[float, float]

    def __call__(self, points: Points) -> Any:
        """f at points (..., 2)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.f(points[..., 0], points[..., 1])

    def slope(self, point: Points) -> Points:
        """∂f/∂(x, y) at one point (2,), by the complex step: Im f(p + i h eⱼ) / h.

        Exact to rounding, since nothing is subtracted. Squire and Trapp, SIAM Review 40
        (1998).
        """
        return np.asarray(self(point + 1j * TINY * np.eye(2)).imag / TINY)


def beale(x: Any, y: Any) -> Any:
    """(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)², 0 at (3, ½).

    Beale (1958), "On an iterative method for finding a local minimum of a function of
    more than one variable".
    """
    parts = ((1, 1.5), (2, 2.25), (3, 2.625))
    return sum((c - x + x * y**k) ** 2 for k, c in parts)


def saddle(x: Any, y: Any) -> Any:
    """x² - y² + y⁴/4 + 1: level at (0, 0), 0 at (0, ±√2)."""
    return x**2 - y**2 + y**4 / 4 + 1


def valley(x: Any, y: Any) -> Any:
    """(x + y)²/4 + 25 (x - y)²: second derivatives 1 along x = y, 100 across."""
    return (x + y) ** 2 / 4 + 25 * (x - y) ** 2


FIELDS = {
    "Beale": Field(beale, (1.0, 1.5), (-0.5, 4.0), (-1.0, 2.0)),
    "saddle": Field(saddle, (-1.5, 1e-3), (-2.0, 2.0), (-1.0, 2.5)),
    "valley": Field(valley, (-4.0, -3.0), (-5.0, 2.0), (-5.0, 2.0)),
}
