"""Recorded operations as calls of NumPy or CuPy on bound buffers.

Each function gives a call `(function, arguments)` that a replay repeats.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.compiler.drivers import driver_of
from xpnet.trace.sums import with_ones

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def scalar(backend: Backend, value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number as the operand of a recorded call."""
    # A 0-d array spares NumPy the conversion of every replay (0.25 us a call).
    return np.array(value, dtype) if backend.is_host else value


def elementwise(
    backend: Backend, op: np.ufunc, operands: list[Any], out: Array
) -> Call:
    """Compute out = op(*operands)."""
    function = op if backend.is_host else getattr(backend.xp, op.__name__)
    if op in (np.maximum, np.minimum):  # whose third position is deprecated
        return partial(function, out=out), tuple(operands)
    return function, (*operands, out)


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


def product_sum(backend: Backend, x: Array, axis: int, out: Array) -> Call:
    """Compute out = Σ of x along axis -1 or -2: by a product with ones."""
    if not backend.is_host:
        return backend.xp.sum, (x, axis, None, out, True)
    return product(backend, *with_ones(x, axis), out)


def copy(backend: Backend, out: Array, source: Any) -> Call:
    """out[...] = source, converting the dtype."""
    return backend.xp.copyto, (out, source, "unsafe")


def where(backend: Backend, condition: Array, a: Any, b: Any, out: Array) -> list[Call]:
    """Compute out = a where condition, else b; `out` may be `b`."""
    first = [] if b is out else [copy(backend, out, b)]
    return [*first, (backend.xp.copyto, (out, a, "unsafe", condition))]


def reduce(
    backend: Backend,
    op: str,
    x: Array,
    axes: tuple[int, ...],
    keepdims: bool,
    out: Array,
) -> Call:
    """Compute out = sum or max of x over axes."""
    if backend.is_host:
        ufunc = np.add if op == "sum" else np.maximum
        axis: Any = axes if len(axes) > 1 else axes[0]
        return ufunc.reduce, (x, axis, None, out, keepdims)
    if op == "sum":
        return backend.xp.sum, (x, axes, None, out, keepdims)
    return backend.xp.amax, (x, axes, out, keepdims)


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
