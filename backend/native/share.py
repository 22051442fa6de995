"""How the threads of a crew divide a call, and the numbers that do not depend on who.

A product that is cut between rows is computed row block by row block, by one thread or
by several: BLAS sums in an order that depends on the shape of what it is given, so the
blocks, not the threads, decide the bits. Hence the parts follow from sizes and from the
number of threads that BLAS has, in C and in the calls that stand in for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xpnet.backend.trace import Array, Traced

PRODUCT = 1 << 14  # multiplications that are worth a part
LARGEST = 1 << 24  # from here on BLAS divides products better
ELEMENTS = 1 << 12  # of a loop that are worth a part
FUNCTION = 1 << 9  # likewise of exp and the like
GRAIN = 64  # elements: a part begins where a vector would
MOST = 64  # parts, of runtime.c


@dataclass(frozen=True)
class Share:
    """Parts of a call: which count is divided, and what moves with it.

    Attributes:
        parts: how many.
        cut: the place of the count.
        grain: all parts but the last are multiples of it.
        by: bytes from one of that count to the next, an array each.
    """

    parts: int
    cut: int
    grain: int
    by: Sequence[int]


WHOLE = Share(1, 0, 1, ())


def crew_size(nodes: Iterable[Traced], threads: int) -> int:
    """Threads that share the calls of a program; 1 where they stay with one, and BLAS.

    Args:
        nodes: of the program.
        threads: that BLAS has.
    """
    work = [product_work(n) for n in nodes if n.op == "matmul"]
    if not work or max(work) > LARGEST or max(work) < 2 * PRODUCT:
        return 1
    return min(threads, MOST)


def product_work(node: Traced) -> int:
    """Multiplications of a matrix product."""
    return node.size * int(node.args[0].shape[-1])


def product_parts(rows: int, inner: int, columns: int, threads: int) -> int:
    """Parts of a product, between its rows; a vector is not worth it."""
    if min(rows, columns) < 2:
        return 1
    return max(1, min(threads, rows, rows * inner * columns // PRODUCT))


def row_blocks(rows: int, parts: int) -> list[slice]:
    """The rows of each part, as runtime.c divides them."""
    most = -(-rows // parts)
    return [slice(i, min(i + most, rows)) for i in range(0, rows, most)]


def share_product(
    counts: Sequence[int], strides: Sequence[int], threads: int
) -> Share | None:
    """Of a call of matmul's inner loop: between rows."""
    outer, rows, inner, columns = counts
    parts = product_parts(rows, inner, columns, threads) if outer == 1 else 1
    if parts == 1:
        return None
    return Share(parts, 1, 1, [strides[3], 0, strides[7]])


def share_loop(
    counts: Sequence[int],
    by: Sequence[int],
    worth: int,
    threads: int,
) -> Share | None:
    """Of a loop nest: along its outermost axis.

    Args:
        counts: of the nest.
        by: bytes along that axis, an array each.
        worth: elements that are worth a part.
        threads: of the crew.
    """
    parts = min(threads, counts[0], int(np.prod(counts)) // worth)
    if parts < 2:
        return None
    grain = GRAIN if len(counts) == 1 else 1
    return Share(parts, 0, grain, by)


def product_in_parts(
    a: Array, b: Array, out: Array, threads: int
) -> list[tuple[Array, Array, Array]]:
    """The products that compute out = a @ b part by part."""
    parts = 1
    if out.ndim == a.ndim == b.ndim == 2:
        parts = product_parts(*a.shape, b.shape[1], threads)
    if parts == 1:
        return [(a, b, out)]
    return [(a[rows], b, out[rows]) for rows in row_blocks(len(a), parts)]
