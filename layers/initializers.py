"""How weights start: random matrices whose size fits the layer's width.

With n_in inputs and n_out outputs a layer keeps the variance of what flows through it
when Var(W) is about 1/n_in (LeCun), 2/n_in behind a rectifier (He), or 2/(n_in + n_out)
as the compromise between the forward and the backward direction (Glorot).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.common import choose
from xpnet.common.arrays import NDArray

Initializer = Callable[[np.random.Generator, tuple[int, ...]], NDArray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(n_in, n_out) of a weight of `shape` (n_in, n_out)."""
    return shape[0], shape[-1]


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """W = 0 (right for biases; weights that all start equal stay equal)."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """W = 1 (right for gains)."""
    return np.ones(shape)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """W ~ N(0, 0.05²)."""
    return 0.05 * rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """W ~ U(-0.05, 0.05)."""
    return rng.uniform(-0.05, 0.05, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """W with orthonormal rows or columns, whichever are fewer.

    The Q of a normal matrix's QR decomposition, signs fixed by R's diagonal so that it
    is uniform over such matrices. Saxe, McClelland, Ganguli (2013), arXiv:1312.6120.
    """
    n_in, n_out = fans(shape)
    q, r = np.linalg.qr(rng.standard_normal((max(n_in, n_out), min(n_in, n_out))))
    q *= np.sign(np.diag(r))
    return q if n_in >= n_out else q.T


def _scaled(variance: Callable[[int, int], float], gaussian: bool) -> Initializer:
    """W of the given variance, normal or uniform on ±√(3 Var)."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        std = math.sqrt(variance(*fans(shape)))
        if not gaussian:
            return rng.uniform(-math.sqrt(3) * std, math.sqrt(3) * std, shape)
        values = rng.standard_normal(shape)
        values *= std
        return values

    return draw


def _glorot(n_in: int, n_out: int) -> float:
    return 2.0 / (n_in + n_out)


def _he(n_in: int, n_out: int) -> float:
    return 2.0 / n_in


def _lecun(n_in: int, n_out: int) -> float:
    return 1.0 / n_in


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "normal": normal,
    "uniform": uniform,
    "orthogonal": orthogonal,
    # Glorot and Bengio, AISTATS 2010: Var(W) = 2 / (n_in + n_out).
    "glorot_normal": _scaled(_glorot, gaussian=True),
    "glorot_uniform": _scaled(_glorot, gaussian=False),
    # He, Zhang, Ren, Sun (2015), arXiv:1502.01852: Var(W) = 2 / n_in.
    "he_normal": _scaled(_he, gaussian=True),
    "he_uniform": _scaled(_he, gaussian=False),
    # LeCun, Bottou, Orr, Müller, "Efficient BackProp" (1998): Var(W) = 1 / n_in.
    "lecun_normal": _scaled(_lecun, gaussian=True),
    "lecun_uniform": _scaled(_lecun, gaussian=False),
}


def get_initializer(initializer: str | Initializer) -> Initializer:
    """The table's row of that name; a function `(rng, shape) -> array` as it is."""
    if callable(initializer):
        return initializer
    return choose(initializer, INITIALIZERS, "initializer")
