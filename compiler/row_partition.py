"""How threads divide calls, with results that do not depend on the threads.

The samples of a batch are independent of each other until their gradients are summed.
So each thread takes some rows of the batch through all calls, and sums its own share of
every gradient:

    ∂J/∂W = xᵀ δ = Σₖ x[rowsₖ]ᵀ δ[rowsₖ]

A product that is computed block by block has other bits than the whole, because the
order of BLAS' sums depends on the shape. So the blocks decide the bits, not the threads
that compute them; and the blocks follow from the sizes and the number of BLAS threads,
in C and in NumPy calls alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.trace import Traced

MAX_PARTS = 64  # parts, of runtime.c


@dataclass(frozen=True)
class RowPartition:
    """How the calls of a program are divided among threads.

    Attributes:
        threads: how many, and the parts of each call; 1 if calls are not divided.
        rows: of a batch.
    """

    threads: int = 1
    rows: int = 0


ALONE = RowPartition()


@dataclass(frozen=True)
class Share:
    """The parts of a call: which count is divided, and what moves with it.

    Attributes:
        parts: how many.
        cut: the place of the count.
        grain: all parts but the last are multiples of it.
        by: bytes from one of that count to the next, an array each.
        apart: bytes from one part to the next besides, an array each.
    """

    parts: int
    cut: int = 0
    grain: int = 1
    by: Sequence[int] = ()
    apart: Sequence[int] = ()


def partition_of(nodes: Iterable[Traced], rows: int, threads: int) -> RowPartition:
    """That of a program over batches of `rows`; BLAS has `threads`."""
    products = [node for node in nodes if node.op == "matmul"]
    if not products:
        return ALONE
    width = products[0].dtype.itemsize
    work = [n.size * int(n.args[0].shape[-1]) for n in products]
    if max(work) // rows * width > tuning.MAX_WEIGHT_BYTES:
        return ALONE
    cost = sum(work) * width // 4
    threads = min(threads, cost // tuning.WORK_PER_THREAD, rows, MAX_PARTS)
    # Each thread has some rows: no part of a sum may be missing.
    return RowPartition(len(blocks(rows, threads)), rows) if threads > 1 else ALONE


def cut_of(a: Array, b: Array, partition: RowPartition) -> str:
    """Where the product a @ b is divided: "rows", "sum" or nowhere ("").

    A sum over the batch is divided if its parts are less to add than the rows, which
    then stay where they were computed.
    """
    if partition.threads == 1 or not a.ndim == b.ndim == 2:
        return ""
    (m, k), n = a.shape, b.shape[1]
    turned = m == 1 or a.strides[0] < a.strides[1]
    if turned and k == partition.rows:
        if 2 * m * n < k * (m + n):
            return "sum"
        return "rows" if m >= partition.threads else ""
    return "rows" if m == partition.rows else ""


def blocks(rows: int, parts: int) -> list[slice]:
    """The rows of each part, as runtime.c divides them."""
    most = -(-rows // parts)
    return [slice(i, min(i + most, rows)) for i in range(0, rows, most)]


def share_rows(
    rows: int, counts: Sequence[int], by: Sequence[int], partition: RowPartition
) -> Share:
    """Of a loop nest: the first count is `rows`, or rows and all that is within one."""
    return Share(partition.threads, 0, counts[0] // rows, by, [0] * len(by))


def share_elements(
    counts: Sequence[int],
    by: Sequence[int],
    partition: RowPartition,
    cost: int = 1,
    apart: Sequence[int] = (),
) -> Share | None:
    """Of a loop nest over something else; None for one that is not worth it.

    Args:
        cost: of an element, as many times that of a simple one.
    """
    size = 1
    for count in counts:
        size *= count
    parts = min(partition.threads, counts[0], size * cost // tuning.ELEMENTS_PER_PART)
    grain = tuning.PART_GRAIN if len(counts) == 1 else 1
    apart = apart or [0] * len(by)
    return Share(parts, 0, grain, by, apart) if parts > 1 else None
