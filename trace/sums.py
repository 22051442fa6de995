"""Sums along the batch and along the features, as the equations mean them.

On the CPU a product with ones is two to three times faster than NumPy's reduction of
these shapes, so Σ_batch δ is computed as 1ᵀ δ, in a recorded step and out of it alike.
"""

import numpy as np

from xpnet.backend import Array
from xpnet.trace.array import Traced


def batch_sum(x: Array) -> Array:
    """Σ over axis -2: (..., batch, n) to (..., 1, n)."""
    if isinstance(x, Traced):
        return x.batch_sum()
    if isinstance(x, np.ndarray):
        return np.ones((1, x.shape[-2]), x.dtype) @ x
    return x.sum(axis=-2, keepdims=True)


def feature_sum(x: Array) -> Array:
    """Σ over axis -1: (..., batch, n) to (..., batch, 1)."""
    if isinstance(x, Traced):
        return x.feature_sum()
    if isinstance(x, np.ndarray):
        return x @ np.ones((x.shape[-1], 1), x.dtype)
    return x.sum(axis=-1, keepdims=True)


def batch_mean(x: Array) -> Array:
    """The mean over axis -2: (..., batch, n) to (..., 1, n)."""
    return batch_sum(x) / x.shape[-2]


def feature_mean(x: Array) -> Array:
    """The mean over axis -1: (..., batch, n) to (..., batch, 1)."""
    return feature_sum(x) / x.shape[-1]


def with_ones(x: Array, axis: int) -> tuple[Array, Array]:
    """(a, b) with a @ b = the sum of x (..., batch, n) over axis -2 or -1."""
    if axis == -2:
        return np.ones((1, x.shape[-2]), x.dtype), x
    return x, np.ones((x.shape[-1], 1), x.dtype)
