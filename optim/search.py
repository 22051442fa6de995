"""Searches without a gradient, to compare with methods that use one.

Their cost grows with the number of weights n, that of a gradient step does not: a
random direction has a component of about 1/√n along the gradient, and a grid of k
points per axis has kⁿ points.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnet.backend import generator
from xpnet.common import check_flag, check_number, check_whole, explains_arguments
from xpnet.common.arrays import NDArray
from xpnet.optim.minimizer import Iterate, Minimizer, Objective, check_begun

SEARCH = 100  # number of the random stream, other than those of weights and orders


@explains_arguments
class RandomSearch(Minimizer):
    """Guess, and keep the best.

        x' = c + scale · N(0, I),   x ← x' where f(x') < f(x)

    with c the start, so that guesses do not depend on each other; or, with local, the
    best point so far (hill climbing). Solis and Wets (1981), "Minimization by random
    search techniques", Mathematics of Operations Research 6.

    Args:
        guesses: in one iteration.
        scale: standard deviation of a guess, in units of x.
        local: guess around the best point so far.
        seed: of the guesses.

    Raises:
        ValueError: a scale not above 0, fewer than one guess.
    """

    def __init__(
        self,
        guesses: int = 100,
        scale: float = 1.0,
        local: bool = False,
        seed: int = 0,
    ):
        self.guesses = check_whole("RandomSearch", "guesses", guesses, 1)
        self.scale = positive("RandomSearch", "scale", scale)
        self.local = check_flag("RandomSearch", "local", local)
        self.seed = check_whole("", "seed", seed, 0)

    def iterate(self, objective: Objective, start: NDArray) -> Iterator[Iterate]:
        """The start, then the best so far after each `guesses` guesses."""
        rng = generator(self.seed, SEARCH)
        x, value = start, objective.value(start)
        check_begun("RandomSearch", value)
        yield Iterate(x, value)
        while True:
            for _ in range(self.guesses):
                centre = x if self.local else start
                guess = centre + self.scale * rng.standard_normal(len(start))
                found = objective.value(guess)
                if found < value:
                    x, value = guess, found
            yield Iterate(x, value)


@explains_arguments
class GridSearch(Minimizer):
    """Every point of a square grid over a plane through the start.

        x = start + a u + b v,   a, b ∈ {-radius, ..., radius}, size points each

    An iteration is one line of the grid (one b), so there are `size` iterations. u and
    v are two axes, or, without `axes` and for n > 2, two random orthonormal directions:
    a random plane through weight space, as in Li, Xu, Taylor, Studer and Goldstein
    (2018), arXiv:1712.09913.

    Args:
        size: points along each side; an odd number includes the start.
        radius: half a side, in units of x.
        axes: (i, j), indices in x of the two weights to vary.
        seed: of the directions.

    Raises:
        ValueError: fewer than 2 points per side, a radius not above 0, axes that x does
            not have.
    """

    def __init__(
        self,
        size: int = 21,
        radius: float = 1.0,
        axes: tuple[int, int] | None = None,
        seed: int = 0,
    ):
        self.size = check_whole("GridSearch", "size", size, 2)
        self.radius = positive("GridSearch", "radius", radius)
        self.axes, self.seed = axes, check_whole("", "seed", seed, 0)

    def directions(self, n: int) -> tuple[NDArray, NDArray]:
        """(u, v) for vectors of n entries.

        Raises:
            ValueError: axes that are not two different places from 0 to n - 1.
        """
        axes = (0, 1) if self.axes is None and n == 2 else self.axes
        if axes is None and n > 2:
            drawn = generator(self.seed, SEARCH).standard_normal((n, 2))
            both = np.linalg.qr(drawn)[0]
            return both[:, 0].copy(), both[:, 1].copy()
        places = tuple(axes or ())
        known = len(set(places)) == 2 and all(p in range(n) for p in places)
        if len(places) != 2 or not known:
            raise ValueError(
                f"GridSearch: expected two different axes from 0 to {n - 1}, got {axes}"
            )
        u, v = np.zeros(n), np.zeros(n)
        u[places[0]] = v[places[1]] = 1.0
        return u, v

    def iterate(self, objective: Objective, start: NDArray) -> Iterator[Iterate]:
        """The start, then the best so far after each line."""
        u, v = self.directions(len(start))
        x, value = start, objective.value(start)
        check_begun("GridSearch", value)
        yield Iterate(x, value)
        places = np.linspace(-self.radius, self.radius, self.size)
        for b in places:
            for a in places:
                point = start + a * u + b * v
                found = objective.value(point)
                if found < value:
                    x, value = point, found
            done = "the grid is done" if b == places[-1] else ""
            yield Iterate(x, value, note=done)


def positive(owner: str, name: str, value: Any) -> float:
    """`value` as a number above 0; raises ValueError otherwise."""
    return check_number(owner, value, f"{name} > 0", lambda v: v > 0.0)
