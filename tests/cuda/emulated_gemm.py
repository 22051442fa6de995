"""cuBLAS's products on the CPU: column-major matrices over raw addresses.

It takes the very arguments that the library gets, reads and writes memory through them
alone, and knows nothing of the arrays that they were made from.
"""

import ctypes

import numpy as np

KINDS = {0: np.float32, 1: np.float64, 14: np.uint16}
WORKS = {68: np.float32, 77: np.float32, 75: np.float32, 70: np.float64}
MANTISSA = {77: 10, 75: 7}  # bits that operands keep


def run(gemm):
    """What a driver's `gemm` does."""
    for name, arguments in gemm.calls:
        call(name, arguments)


def call(name, arguments):
    """`name`, a function of the library, on what stands behind the handle."""
    if name == "cublasGemmEx":
        gemm_ex(*arguments)
    else:
        assert name == "cublasGemmStridedBatchedEx", name
        gemm_strided_batched_ex(*arguments)


def gemm_ex(
    transa, transb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta,
    c, c_type, ldc, compute, algorithm,
):  # fmt: skip
    gemm_strided_batched_ex(
        transa, transb, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta,
        c, c_type, ldc, 0, 1, compute, algorithm,
    )  # fmt: skip


def gemm_strided_batched_ex(
    transa, transb, m, n, k, alpha, a, a_type, lda, a_step, b, b_type, ldb,
    b_step, beta, c, c_type, ldc, c_step, count, compute, algorithm,
):  # fmt: skip
    for number in (transa, transb, m, n, k, lda, ldb, ldc, count):
        assert type(number) is int
        assert 0 <= number < 2**31
    assert (transa in (0, 1), transb in (0, 1)) == (True, True)
    assert algorithm == -1
    for i in range(count):
        left = matrix(a, a_type, m, k, lda, transa, i * a_step)
        right = matrix(b, b_type, k, n, ldb, transb, i * b_step)
        out = matrix(c, c_type, m, n, ldc, 0, i * c_step)
        work = WORKS[compute]
        value = operand(left, compute) @ operand(right, compute)
        value = work(alpha) * value
        if beta != 0:  # else what C holds, NaN too, is not read
            value = value + work(beta) * operand(out, compute)
        out[...] = bfloat16_bits(value) if c_type == 14 else value


def matrix(address, kind, rows, columns, ld, transposed, start):
    """The (rows, columns) operand: column-major memory, or the transpose of such."""
    if transposed:
        return matrix(address, kind, columns, rows, ld, 0, start).T
    assert ld >= max(1, rows), "leading dimension"
    assert address, "a null pointer"
    dtype = np.dtype(KINDS[kind])
    assert address % dtype.itemsize == 0, "alignment"
    span = ((columns - 1) * ld + rows) * dtype.itemsize
    memory = (ctypes.c_char * span).from_address(address + start * dtype.itemsize)
    strides = (dtype.itemsize, ld * dtype.itemsize)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)


def operand(x, compute):
    """`x` as the multiplication sees it."""
    if x.dtype == np.uint16:
        return bfloat16_values(x)
    return rounded(x, MANTISSA[compute]) if compute in MANTISSA else x


def rounded(x, bits):
    """float32 rounded to `bits` of mantissa, ties to even; infinities and NaN stay."""
    drop = 23 - bits
    whole = np.ascontiguousarray(x).view(np.uint32)
    half = (1 << (drop - 1)) - 1 + ((whole >> drop) & 1)
    cut = ((whole + half.astype(np.uint32)) >> drop) << drop
    return np.where(np.isfinite(x), cut.view(np.float32), x)


def bfloat16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bfloat16_bits(values):
    kept = rounded(np.asarray(values, np.float32), 7)
    return (np.ascontiguousarray(kept).view(np.uint32) >> 16).astype(np.uint16)
