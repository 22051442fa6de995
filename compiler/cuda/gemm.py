"""Matrix products of any views as calls of cuBLAS.

cuBLAS reads column-major matrices: the memory of a row-major (m, n) array is to it the
(n, m) transpose. So out = a @ b is asked for as outᵀ = bᵀ aᵀ, the operands exchanged,
and a row-major operand is passed as it lies, a transposed one with the flag T. Any view
with one unit stride (x.T, a slice of columns or rows, a network of a stack) needs no
copy: the other stride is its leading dimension.

Products over leading axes become one strided batch; an operand that all share has the
stride 0. Where leading axes of a view do not lie at one stride, one batch is asked for
each step of the others.

Precision is that of the multiplication alone; arrays stay float32 and sums are float32.
Tensor cores multiply faster what may be rounded:

    float32    every bit of the operands (strict)
    tf32       operands rounded to 10 bits of mantissa
    bfloat16   operands rounded to 7 bits of mantissa

Source: cuBLAS library, cublasGemmEx and cublasGemmStridedBatchedEx,
https://docs.nvidia.com/cuda/cublas/
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address

MAX_INT = 2**31 - 1  # cuBLAS counts in int

# cudaDataType. NumPy has no bfloat16: its bits travel as uint16.
TYPES = {
    np.dtype(np.float32): 0,  # CUDA_R_32F
    np.dtype(np.float64): 1,  # CUDA_R_64F
    np.dtype(np.uint16): 14,  # CUDA_R_16BF
}
COMPUTE_32F, COMPUTE_64F = 68, 70
COMPUTE = {"float32": COMPUTE_32F, "tf32": 77, "bfloat16": 75}
DEFAULT_ALGORITHM = -1


class ProductError(ValueError):
    """A product that cuBLAS cannot compute on these arrays as they lie."""


class Call(NamedTuple):
    """One call of the library: the arguments after the handle.

    `alpha` and `beta` are numbers here and pointers to them there.
    """

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Gemm:
    """out ← alpha a @ b + beta out, as calls of cuBLAS.

    Args:
        a, b: (..., m, k) and (..., k, n), leading axes broadcast; float32, float64, or
            uint16 for the bits of bfloat16.
        out: (..., m, n), of the same dtype, or float32 for bfloat16 operands.
        alpha, beta: numbers; with beta = 0 what `out` holds is not read.
        precision: of float32 operands, see above.

    Attributes:
        calls: what to call, in order; none where `out` has no elements.

    Raises:
        ProductError: arrays without a unit stride, of other dtypes, of no terms to sum,
            or too large.
    """

    a: Array
    b: Array
    out: Array
    alpha: float = 1.0
    beta: float = 0.0
    precision: str = "float32"
    calls: tuple[Call, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.a, self.b, self.out)
        calls = tuple(_calls(self)) if self.out.size else ()
        object.__setattr__(self, "calls", calls)

    @property
    def compute(self) -> int:
        """The cublasComputeType_t."""
        if self.a.dtype == np.float64:
            return COMPUTE_64F
        return COMPUTE_32F if self.a.dtype == np.uint16 else COMPUTE[self.precision]


class _Matrix(NamedTuple):
    """How cuBLAS sees the last two axes of an array."""

    transposed: bool  # whether the memory holds, row by row, the array's transpose
    ld: int
    strides: tuple[int, ...]  # of the leading axes, in elements


def _check(a: Array, b: Array, out: Array) -> None:
    """Shapes and dtypes."""
    if min(a.ndim, b.ndim, out.ndim) < 2:
        raise ProductError(f"expected matrices, got {a.shape} @ {b.shape}")
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    wanted = (*lead, a.shape[-2], b.shape[-1])
    if a.shape[-1] != b.shape[-2] or out.shape != wanted:
        raise ProductError(f"{a.shape} @ {b.shape} is no array of shape {out.shape}")
    kinds = (a.dtype, b.dtype, out.dtype)
    widens = a.dtype == np.uint16 and out.dtype == np.float32
    if (
        a.dtype not in TYPES
        or b.dtype != a.dtype
        or not (out.dtype == a.dtype or widens)
    ):
        names = ", ".join(str(kind) for kind in kinds)
        raise ProductError(f"expected operands of one floating dtype, got {names}")
    if a.shape[-1] == 0:
        raise ProductError("a sum of no terms")


def _matrix(name: str, x: Array, lead: tuple[int, ...]) -> _Matrix:
    """The view of `x`; its leading axes are broadcast to `lead`."""
    size = x.dtype.itemsize
    if any(step % size for step in x.strides):
        raise ProductError(f"{name}: strides {x.strides} of elements of {size} bytes")
    *outer, down, across = (step // size for step in x.strides)
    rows, columns = x.shape[-2:]
    strides = [0] * (len(lead) - len(outer)) + [
        0 if n == 1 else step for n, step in zip(x.shape[:-2], outer, strict=True)
    ]
    for transposed, (r, c, step, unit) in enumerate(
        [(rows, columns, down, across), (columns, rows, across, down)]
    ):
        ld = step if r > 1 else max(1, c)
        if (unit == 1 or c == 1) and ld >= max(1, c):
            if max(r, c, ld) > MAX_INT:
                raise ProductError(f"{name}: {x.shape} is more than cuBLAS counts")
            return _Matrix(bool(transposed), ld, tuple(strides))
    raise ProductError(
        f"{name}: shape {x.shape} with strides {x.strides} bytes; expected one unit "
        "stride and no overlap"
    )


def _calls(gemm: Gemm) -> Iterator[Call]:
    """The batches, or the one product, that `gemm` comes to."""
    a, b, out = gemm.a, gemm.b, gemm.out
    lead = out.shape[:-2]
    seen = [_matrix(name, x, lead) for name, x in (("a", a), ("b", b), ("out", out))]
    axes = _merged(lead, *(matrix.strides for matrix in seen))
    batch = _batch_axis(axes)
    others = [axis for i, axis in enumerate(axes) if i != batch]
    starts = [address(x) for x in (a, b, out)]
    for place in product(*(range(axis[0]) for axis in others)):
        moved = [
            start
            + x.dtype.itemsize
            * sum(i * ax[1 + j] for i, ax in zip(place, others, strict=True))
            for j, (start, x) in enumerate(zip(starts, (a, b, out), strict=True))
        ]
        yield _call(gemm, seen, moved, None if batch is None else axes[batch])


Axis = tuple[int, int, int, int]  # steps, and how far a, b and out move in each


def _merged(lead: tuple[int, ...], *strides: tuple[int, ...]) -> list[Axis]:
    """The leading axes, those of one step left out, neighbours in step made one."""
    axes: list[Axis] = []
    for n, a, b, out in zip(lead, *strides, strict=True):
        if n == 1:
            continue
        steps = (a, b, out)
        if axes and all(
            outer == n * inner for outer, inner in zip(axes[-1][1:], steps, strict=True)
        ):
            axes[-1] = (axes[-1][0] * n, *steps)
        else:
            axes.append((n, *steps))
    if any(axis[3] == 0 for axis in axes):
        raise ProductError("out: its leading axes overlap")
    return axes


def _batch_axis(axes: list[Axis]) -> int | None:
    """The longest axis that a strided batch can go along."""
    fit = [i for i, axis in enumerate(axes) if min(axis[1:]) >= 0]
    fit = [i for i in fit if axes[i][0] <= MAX_INT]
    return max(fit, key=lambda i: axes[i][0], default=None)


def _call(
    gemm: Gemm, seen: list[_Matrix], addresses: list[int], batch: Axis | None
) -> Call:
    """One call: outᵀ = bᵀ aᵀ; where `out` lies transposed, out = a b."""
    (m, n), k = gemm.out.shape[-2:], gemm.a.shape[-1]
    steps = (0, 0, 0) if batch is None else batch[1:]
    parts = 3 if batch is None else 4  # one product has no steps
    a, b, out = (
        (at, TYPES[x.dtype], matrix.ld, step)[:parts]
        for x, matrix, at, step in zip(
            (gemm.a, gemm.b, gemm.out), seen, addresses, steps, strict=True
        )
    )
    # To a column-major library a row-major matrix is its transpose.
    turned = [int(matrix.transposed) for matrix in seen[:2]]
    if seen[2].transposed:
        turned = [1 - flag for flag in turned]
    else:
        m, n, a, b, turned = n, m, b, a, turned[::-1]
    alpha, beta, last = gemm.alpha, gemm.beta, (gemm.compute, DEFAULT_ALGORITHM)
    if batch is None:
        arguments = (*turned, m, n, k, alpha, *a, *b, beta, *out, *last)
        return Call("cublasGemmEx", arguments)
    arguments = (*turned, m, n, k, alpha, *a, *b, beta, *out, batch[0], *last)
    return Call("cublasGemmStridedBatchedEx", arguments)
