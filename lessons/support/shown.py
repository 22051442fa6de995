"""Numbers that keep the text of their computation, for equations by hand.

    a, b = shown([2.0, -3.0])
    (a * b + a).text        # "2·(-3) + 2"

Arrays of them take +, -, * and @, so a matrix equation writes out its entries.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Shown:
    """A number with the sum or product that gave it.

    Attributes:
        value: the number.
        text: its computation; of a given number, its first four digits.
        factor: the text as a factor of a product, in brackets if it needs them.
    """

    def __init__(self, value: float, text: str = "", brackets: bool = False):
        self.value, self.text = float(value), text or f"{value:.4g}"
        closed = brackets or (not text and value < 0)
        self.factor = f"({self.text})" if closed else self.text

    def __add__(self, other: "Shown") -> "Shown":
        return self._sum(self.value + other.value, "+", other)

    def __sub__(self, other: "Shown") -> "Shown":
        return self._sum(self.value - other.value, "-", other)

    def _sum(self, value: float, sign: str, other: "Shown") -> "Shown":
        return Shown(value, f"{self.text} {sign} {other.factor}", brackets=True)

    def __mul__(self, other: "Shown") -> "Shown":
        return Shown(self.value * other.value, f"{self.factor}·{other.factor}")


def shown(values: ArrayLike) -> NDArray[Any]:
    """Given numbers as an array of `Shown`."""
    return _each(Shown, np.asarray(values, float))


def plain(array: NDArray[Any]) -> NDArray[np.float64]:
    """The values of an array of `Shown`."""
    return _each(lambda number: number.value, array).astype(float)


def sigmoid(z: NDArray[Any]) -> NDArray[Any]:
    """σ(z) = 1 / (1 + e⁻ᶻ) of each entry."""

    def one(number: Shown) -> Shown:
        return Shown(1.0 / (1.0 + np.exp(-number.value)), f"σ({number.text})")

    return _each(one, z)


def _each(function: Callable[[Any], Any], array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.frompyfunc(function, 1, 1)(array), object)
