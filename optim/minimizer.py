"""Minimisers: methods that evaluate the whole objective, several times per iteration.

An update rule (`Optimizer`) is an elementwise formula. A minimiser searches: along
lines, at random, on a grid, with a population. Its vectors are NumPy's, in float64 on
the host, whatever the objective computes with.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.common import check_whole
from xpnet.common.arrays import NDArray

Function = Callable[[NDArray], Any]


class StartError(ValueError):
    """The objective is not finite at the start."""


class Objective:
    """f: R^n → R, with its gradient for the methods that need it.

    Attributes:
        epsilon: the relative rounding of f.
        evaluations: number of evaluations of f, or of f with its gradient.
    """

    epsilon = float(np.finfo(np.float64).eps)
    evaluations = 0

    def value(self, x: NDArray) -> float:
        """f(x)."""
        raise NotImplementedError(f"{type(self).__name__}.value")

    def slope(self, x: NDArray) -> tuple[float, NDArray]:
        """(f(x), ∂f/∂x)."""
        raise NotImplementedError(f"{type(self).__name__}.slope")


class _Plain(Objective):
    """Two Python functions as an objective."""

    def __init__(self, f: Function, gradient: Function | None) -> None:
        self._f, self._gradient = f, gradient

    def value(self, x: NDArray) -> float:
        self.evaluations += 1
        return float(self._f(x.copy()))

    def slope(self, x: NDArray) -> tuple[float, NDArray]:
        assert self._gradient is not None
        g = np.asarray(self._gradient(x.copy()), np.float64)
        if g.shape != x.shape:
            raise ValueError(
                f"gradient: expected the shape of start, {x.shape}, got {g.shape}"
            )
        return self.value(x), g


@dataclass(frozen=True)
class Iterate:
    """The state of a method after an iteration.

    Attributes:
        x: the best point so far, (n,).
        value: f there.
        step: α of a line search; NaN for methods without one.
        note: why the method ends here; "" if it continues.
    """

    x: NDArray
    value: float
    step: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Minimum:
    """The result of `Minimizer.minimize`.

    Attributes:
        path: the points, the start first, (iterations + 1, n).
        values: f at each, (iterations + 1,).
        evaluations: number of evaluations of f.
        stopped: why the method ended before its last step; "" if it did not.
    """

    path: NDArray
    values: NDArray
    evaluations: int
    stopped: str

    @property
    def x(self) -> NDArray:
        """The last point, which is the best."""
        return np.asarray(self.path[-1])

    @property
    def value(self) -> float:
        """f there."""
        return float(self.values[-1])


class Minimizer:
    """A method that minimises an objective from a start.

    Attributes:
        uses_gradient: whether it evaluates gradients.
    """

    uses_gradient = False

    def iterate(self, objective: Objective, start: NDArray) -> Iterator[Iterate]:
        """The start, then one iterate per iteration; the last has a note."""
        raise NotImplementedError(f"{type(self).__name__}.iterate")

    def minimize(
        self, f: Function, gradient: Function | None, start: Any, steps: int = 100
    ) -> Minimum:
        """Minimise a plain function.

        Args:
            f: of x (n,), a number.
            gradient: ∂f/∂x of x (n,), (n,); None for methods that need none.
            start: x₀ (n,).
            steps: the most iterations.

        Raises:
            ValueError, TypeError: the start is no vector, the gradient is missing or of
                another shape, f is not finite at the start.
        """
        name = type(self).__name__
        steps = check_whole("", "steps", steps, 1)
        x = check_start(start)
        if self.uses_gradient and gradient is None:
            raise ValueError(f"{name}: expected the gradient of f, got None")
        objective = _Plain(f, gradient)
        with np.errstate(all="ignore"):
            points = self.iterate(objective, x)
            found = [p for _, p in zip(range(steps + 1), points, strict=False)]
        path = np.array([point.x for point in found])
        values = np.array([point.value for point in found])
        return Minimum(path, values, objective.evaluations, found[-1].note)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({shown})"


def check_start(start: Any) -> NDArray:
    """A copy of `start` as a vector in float64.

    Raises:
        ValueError: another shape, or not finite.
    """
    x = np.array(start, np.float64)
    if x.ndim != 1 or not x.size:
        raise ValueError(f"start: expected a vector (n,), got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"start: expected finite numbers, got {x}")
    return x


def check_begun(name: str, value: float) -> None:
    """Raises StartError if `value`, of the objective at the start, is not finite."""
    if not math.isfinite(value):
        raise StartError(
            f"{name}: the objective is {value} at the start; start elsewhere"
        )
