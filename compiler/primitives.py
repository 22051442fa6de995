"""Products, copies and gathers as calls of NumPy or CuPy on bound buffers.

Each function gives a call `(function, arguments)` that a replay repeats.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.compiler.drivers import driver_of

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def product(backend: Backend, a: Array, b: Array, out: Array) -> Call:
    """Compute out = a @ b."""
    if backend.is_host and _may_dot(a, b, out):
        return a.dot, (b, out)  # the same GEMM behind less dispatch
    driver = driver_of(backend)
    if driver is not None:
        from xpnet.compiler.cuda.gemm import Gemm, ProductError

        # Vectors, and the sum of squares of a norm, gain nothing by rounding.
        thin = min(a.shape[-2], b.shape[-1]) == 1
        precision = "float32" if thin else backend.precision
        with suppress(ProductError):  # cuBLAS cannot read these views
            return driver.gemm, (Gemm(a, b, out, precision=precision),)
    return backend.xp.matmul, (a, b, out)


def copy(backend: Backend, out: Array, source: Any) -> Call:
    """out[...] = source, converting the dtype."""
    return backend.xp.copyto, (out, source, "unsafe")


def take(backend: Backend, rows: Array, indices: Array, out: Array) -> Call:
    """Compute out = rows[indices] along the first axis; indices are in range."""
    if not backend.is_host:
        return backend.xp.take, (rows, indices, 0, out)
    if rows.dtype == out.dtype and type(rows) is np.ndarray:
        return rows.take, (indices, 0, out, "clip")
    return _take_converting, (rows, indices, out)


def _take_converting(rows: Array, indices: Array, out: Array) -> None:
    """For another dtype, and for a memory map, of which only these rows are read."""
    out[...] = rows[indices]


def _may_dot(a: Array, b: Array, out: Array) -> bool:
    """Whether `dot` multiplies the arrays themselves: a copy may have other bits."""
    whole = a.flags.forc and b.flags.forc and out.flags.c_contiguous
    return bool(a.ndim == b.ndim == 2 and whole)
