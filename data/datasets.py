"""Small data sets that ship with xpnet or are drawn from a seed, each as `(x, y)`.

`digits` is the test part of Optical Recognition of Handwritten Digits (E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49,
CC BY 4.0; see LICENSE-digits). The drawn sets come from a counter-based generator, so
one seed gives the same points everywhere.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnet.common import choose
from xpnet.data.draw import check_integer, generator

Pair = tuple[NDArray[np.float32], NDArray[Any]]


def digits() -> Pair:
    """Handwritten digits: x (1797, 64) float32, pixel counts 0 to 16; y 0 to 9, int64.

    Rows are 8 × 8 images, flattened. Source and licence: LICENSE-digits.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        return file["x"].astype(np.float32), file["y"].astype(np.int64)


def xor() -> Pair:
    """Exclusive or: the four corners x (4, 2) of the unit square, y (4,) 0 or 1."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([0, 1, 1, 0], np.int64)


def line() -> Pair:
    """Seven points near a line, for regression: x (7, 1) and y (7, 1), float32."""
    x = np.array([2.4, 2.8, 3.2, 3.6, 4.0, 4.2, 5.0], np.float32)
    y = np.array([1.7, 1.85, 1.79, 1.95, 2.1, 2.0, 2.7], np.float32)
    return x[:, None], y[:, None]


def spirals(
    samples: int = 200, noise: float = 0.0, classes: int = 2, seed: int = 0
) -> Pair:
    """Interleaved spiral arms, one a class: x (samples, 2), y (samples,) 0..classes-1.

    Along its arm, class k runs over r = 0.1 .. 1 at the angle 2π (k / classes + 1.5 r);
    `noise` is the standard deviation of a normal error added to both coordinates.
    Classes differ in size by at most one; rows are in random order.

    Raises ValueError for fewer than two classes, fewer samples than classes, or a
    negative noise. After the two-spirals problem of Lang and Witbrock (1988).
    """
    check_integer("classes", classes, 2)
    check_integer("samples", samples, classes)
    arms = []
    for k in range(classes):
        r = np.linspace(0.1, 1.0, _share(samples, classes, k))
        angle = 2 * math.pi * (k / classes + 1.5 * r)
        arms.append(np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1))
    return _noisy(arms, noise, seed)


def moons(samples: int = 200, noise: float = 0.1, seed: int = 0) -> Pair:
    """Two interleaved half circles of radius 1: x (samples, 2), y (samples,) 0 or 1.

    `noise` is the standard deviation of a normal error added to both coordinates.
    Raises ValueError for fewer than two samples or a negative noise.
    The curves are those of scikit-learn's make_moons.
    """
    check_integer("samples", samples, 2)
    upper, lower = (np.linspace(0, math.pi, _share(samples, 2, k)) for k in range(2))
    arms = [
        np.stack([np.cos(upper), np.sin(upper)], axis=1),
        np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1),
    ]
    return _noisy(arms, noise, seed)


def circles(
    samples: int = 200, noise: float = 0.05, seed: int = 0, factor: float = 0.5
) -> Pair:
    """A circle of radius 1 (class 0) around one of radius `factor` (class 1).

    Gives x (samples, 2) and y (samples,); `noise` is the standard deviation of a normal
    error added to both coordinates. Raises ValueError for fewer than two samples, a
    negative noise, or a factor outside (0, 1). As scikit-learn's make_circles.
    """
    check_integer("samples", samples, 2)
    if not 0 < factor < 1:
        raise ValueError(
            f"factor: expected the inner radius, between 0 and 1, got {factor!r}; "
            "hint: the outer radius is 1"
        )
    arms = []
    for k, radius in enumerate((1.0, factor)):
        # Without the end point, which is the first point again.
        angle = np.linspace(0, 2 * math.pi, _share(samples, 2, k), endpoint=False)
        arms.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return _noisy(arms, noise, seed)


DATASETS: dict[str, Callable[..., Pair]] = {
    "digits": digits,
    "xor": xor,
    "line": line,
    "spirals": spirals,
    "moons": moons,
    "circles": circles,
}


def load(name: str) -> Pair:
    """The built-in data set `name` with its default arguments, as `(x, y)`.

    Raises ValueError for an unknown name, with the nearest valid one.
    """
    return choose(name, DATASETS, "data set")()


def _share(samples: int, classes: int, k: int) -> int:
    """How many of `samples` belong to class `k`, as even as possible."""
    return samples // classes + (k < samples % classes)


def _noisy(arms: list[NDArray[np.float64]], noise: float, seed: int) -> Pair:
    """The arms' points with normal errors and their class, in random order."""
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(
            f"noise: expected a standard deviation of at least 0, got {noise!r}; "
            "hint: 0 puts every point on its curve"
        )
    rng = generator(seed)
    x = np.concatenate(arms)
    x += noise * rng.standard_normal(x.shape)
    y = np.repeat(np.arange(len(arms)), [len(arm) for arm in arms]).astype(np.int64)
    order = rng.permutation(len(x))
    return x[order].astype(np.float32), y[order]
