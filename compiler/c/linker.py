"""The calls of a program that C can make, gathered into tables of one library."""

import math
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.compiler.c.build import build
from xpnet.compiler.c.call_table import MOST_ARRAYS, NativeCall
from xpnet.compiler.c.loops import Loop
from xpnet.compiler.c.native import Library, Native, NotCompiledError, Row, runtime
from xpnet.compiler.c.padding import pad
from xpnet.compiler.c.partial_sums import Partial
from xpnet.compiler.c.threads import WORKERS, shared
from xpnet.compiler.c.ufunc_loops import inner_loop
from xpnet.compiler.primitives import Call
from xpnet.compiler.row_partition import (
    ALONE,
    RowPartition,
    Share,
    cut_of,
    share_elements,
    share_rows,
)
from xpnet.trace import Traced
from xpnet.trace.sums import with_ones

SLOW = (np.divide, np.sqrt, np.reciprocal)


class Linker:
    """Makes ops of nodes, and tables of ops.

    Args:
        n_networks: along the first axis of the arrays; None for one alone.
        threads: how many may share a long loop; called only for such a loop.
        partition: how the calls are divided among threads.
        room: gives an array of (shape, dtype) of its own memory.
    """

    def __init__(
        self,
        n_networks: int | None,
        threads: Callable[[], int],
        partition: RowPartition = ALONE,
        room: Callable[[tuple[int, ...], np.dtype[Any]], Array] = np.empty,
    ) -> None:
        self.n_networks, self.threads, self.partition = n_networks, threads, partition
        self._partial = Partial(partition, room)
        self.most = MOST_ARRAYS  # that a loop may read and write
        self._bodies: dict[str, str] = {}  # text -> name

    def loop(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
    ) -> NativeCall:
        """The run as one loop."""
        loop = Loop(run, array, kept, self.n_networks)
        name = self._bodies.setdefault(loop.body, f"loop{len(self._bodies)}")
        op = loop.op(name)
        by = op.strides[: len(op.arrays)]
        apart = all(by[at] for at in op.written) and len(op.counts) > op.reduces
        slow = sum(node.op in SLOW for node in run)
        cost = 1 + tuning.SLOW_UFUNC_COST * slow
        return self._divided(op, by if apart else [], loop.frame, cost)

    def _divided(
        self, op: NativeCall, by: list[int], shape: tuple[int, ...], cost: int = 1
    ) -> NativeCall:
        """`op`, a loop over `shape`, with the parts of it; whole without `by`.

        Args:
            cost: of one element, as many times that of a simple one.
        """
        partition = self.partition
        if partition.threads == 1 or not by:
            return op
        if shape[:1] == (partition.rows,) and op.counts[0] % partition.rows == 0:
            op.share = share_rows(partition.rows, op.counts, by, partition)
        else:
            op.share = share_elements(op.counts, by, partition, cost)
        return op

    def ops(self, node: Traced, operands: list[Any], out: Array) -> list[NativeCall]:
        """What C does for a node that no loop takes; nothing where it cannot."""
        if node.op == "matmul":
            found = self.product(operands[0], operands[1], out)
        elif node.op == "product_sum":
            found = self.product(*with_ones(operands[0], node.options[0]), out)
        elif isinstance(node.op, np.ufunc):
            found = self.elementwise(node.op, operands, out)
        else:
            found = None
        if found is None:
            return []
        if found.share is None or not any(found.share.apart):
            return [found]
        return [found, self._partial.sum(found.arrays[2], out)]

    def elementwise(
        self, op: np.ufunc, operands: list[Any], out: Array
    ) -> NativeCall | None:
        """NumPy's own inner loop over whole arrays; None where they do not fit it."""
        arrays = [*operands, out]
        if not out.flags.c_contiguous or not all(
            x.size == 1 or (x.shape == out.shape and x.flags.c_contiguous)
            for x in operands
        ):
            return None
        kinds = [x.dtype.char for x in arrays]
        found = inner_loop(op, f"{''.join(kinds[:-1])}->{kinds[-1]}")
        if found is None:
            return None
        strides = [0 if x.size == 1 else x.itemsize for x in arrays]
        split = self.n_networks is not None and out.shape[:1] == (self.n_networks,)
        each = out.size // len(out) if split and out.size > 1 else 0
        member = [each * stride for stride in strides]
        counts, name = [out.size], op.__name__
        made = NativeCall(name, arrays, counts, strides, found, each, member)
        return self._divided(made, strides, out.shape)

    def product(self, a: Array, b: Array, out: Array) -> NativeCall | None:
        """`np.matmul`'s inner loop; None for more than one leading axis."""
        found = inner_loop(np.matmul, f"{a.dtype.char}{b.dtype.char}->{out.dtype.char}")
        if found is None or out.ndim > 3 or min(a.ndim, b.ndim) < 2:
            return None
        arrays = [a, b, out]
        lead = [x.strides[0] if x.ndim == 3 and len(x) > 1 else 0 for x in arrays]
        outer = len(out) if out.ndim == 3 else 1
        split = out.ndim == 3 and outer == self.n_networks
        counts = [outer, *a.shape[-2:], b.shape[-1]]
        strides = [*lead, *(s for x in arrays for s in x.strides[-2:])]
        member = lead if split else []
        share, arrays[2] = self._share(a, b, out)
        made = NativeCall("matmul", arrays, counts, strides, found, int(split), member)
        made.share = share
        return made

    def _share(self, a: Array, b: Array, out: Array) -> tuple[Share | None, Array]:
        """(the parts of a product, where they go)."""
        partition, none = self.partition, [0, 0, 0]
        cut = cut_of(a, b, partition)
        if cut == "rows":
            by = [a.strides[0], 0, out.strides[0]]
            return Share(partition.threads, 1, 1, by, none), out
        if cut == "sum" and out.flags.c_contiguous:
            parts = self._partial.of(out)
            by = [a.strides[1], b.strides[0], 0]
            return Share(partition.threads, 2, 1, by, [0, 0, parts.strides[0]]), parts
        return None, out

    # The program.

    def pad(self, calls: dict[str, list[Any]], blocks: list[Array]) -> None:
        """Pad the parts of the buffers, if only calls of C access them."""
        ops = [call for row in calls.values() for call in row]
        if self.partition.threads > 1 and all(isinstance(op, NativeCall) for op in ops):
            pad(ops, blocks, self.partition.threads)

    def text(self) -> str:
        """The source of the program's own loops."""
        bodies = [f"XPNET void {name}{body}" for body, name in self._bodies.items()]
        return "\n".join(bodies)

    @staticmethod
    def whole(text: str) -> str:
        """The library's source, of the text of its loops."""
        return "\n".join([runtime(), text]) if text else runtime()

    def link(
        self, calls: dict[str, list[Any]], wait: bool, text: str
    ) -> tuple[dict[str, list[Call]], Native]:
        """(calls, each row of ops among them one call; what is machine code).

        Args:
            calls: of each segment, in order.
            wait: for the compiler.
            text: of the loops.

        Raises:
            NotCompiledError: the library must be compiled first, and `wait` is False.
            BuildError: it cannot be.
        """
        made = build(self.whole(text))
        if not (wait or made.done):
            raise NotCompiledError(made)
        library = Library(made.library())
        if self.partition.threads > 1:
            WORKERS.join(library.loaded, self.partition.threads)
        splits = self._splits(calls)
        empty: dict[str, list[NativeCall]] = {
            n: [] for n, row in calls.items() if not row
        }
        native = Native(library, empty, self.n_networks, splits, self.partition, [])
        return {n: self._joined(n, row, native) for n, row in calls.items()}, native

    def _joined(self, name: str, row: list[Any], native: Native) -> list[Call]:
        found = Row()
        for together, part in groupby(row, self._in_table):
            ops = list(part)
            if together:
                found.append(native.linked_late(ops, found, len(found)))
                if len(ops) == len(row):
                    native.ops[name] = ops
                continue
            for call in ops:
                own = isinstance(call, NativeCall)
                found.append(self._shared(call, native) if own else call)
        return found

    def _in_table(self, call: Any) -> bool:
        """Whether it is a call of C that runs with others, from one table."""
        return isinstance(call, NativeCall) and not self._long(call)

    def _long(self, op: NativeCall) -> bool:
        """Whether threads are to share a loop of one network."""
        return (
            op.function.startswith("loop")
            and self.partition.threads == 1
            and not op.unit
            and math.prod(op.counts) >= tuning.MIN_ELEMENTS_FOR_THREADS
            and (len(op.counts) > 1 or not op.reduces)
            and op.counts[0] >= self.threads() > 1
        )

    def _shared(self, op: NativeCall, native: Native) -> Call:
        """A loop by several threads: rows of it in place of networks."""
        rows, threads = op.counts[0], self.threads()
        first = op.strides[: len(op.arrays)]
        cut = NativeCall(op.function, op.arrays, op.counts, op.strides, None, 1, first)
        native.tables.append(native.link([cut]))
        at, step = native.tables[-1].address, -(-rows // threads)
        parts = [(at, 1, i, min(step, rows - i), 0) for i in range(0, rows, step)]
        return shared, (native.library.run, parts)

    def _splits(self, calls: dict[str, list[Any]]) -> bool:
        """Whether no network's memory is touched by the calls of another one."""
        if self.n_networks is None:
            return False
        strides: dict[int, set[int]] = {}
        written: set[int] = set()
        for op in (call for row in calls.values() for call in row):
            if not isinstance(op, NativeCall) or not op.unit:
                return False
            written |= {op.operands[at].buffer for at in op.written}
            for ref, stride in zip(op.operands, op.member, strict=True):
                strides.setdefault(ref.buffer, set()).add(stride)
        return all(
            len(strides[root]) == 1 and 0 not in strides[root] for root in written
        )
