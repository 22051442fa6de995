"""Runs of nodes as calls of NumPy or CuPy.

Consecutive elementwise operations over one large shape run block by block on the CPU,
so that their temporaries stay in the cache and cost a block of memory each.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import primitives, tuning
from xpnet.compiler.analysis import Plan, argument_dtypes
from xpnet.compiler.buffers import Arena
from xpnet.compiler.lowering import Calls, Reader, Recording
from xpnet.compiler.placement import Placement
from xpnet.compiler.primitives import Call
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import RowPartition, blocks, cut_of
from xpnet.trace import Traced
from xpnet.trace.array import view
from xpnet.trace.sums import with_ones


class CallLowering:
    """The `Lowering` to calls; those to C and to CUDA take it where they have none."""

    memory: Placement
    partition: RowPartition

    def __init__(self, recording: Recording) -> None:
        self.recording, self.backend = recording, recording.backend

    def load(self, wait: bool) -> Program | None:
        """None: calls are bound anew each time."""
        return None

    def plan(self) -> Plan:
        """The order of the tape."""
        return Plan(self.recording.tape, list(self.recording.outputs.values()), False)

    def begin(self, plan: Plan, partition: RowPartition) -> None:
        """Take memory."""
        self.partition = partition
        self.memory = Placement(plan, self._arena())

    def _arena(self) -> Arena:
        return Arena(self.backend)

    def lower(self, run: list[Traced]) -> list[Any]:
        """A call a node, over whole arrays or block by block."""
        large = (
            self.backend.is_host
            and run[0].size > tuning.BLOCK_ELEMENTS
            and len(run) > 1
        )
        return self._in_blocks(run) if large else self.each(run)

    def finish(self, calls: Calls, readers: Sequence[Reader], wait: bool) -> Program:
        """The program."""
        take = None
        if self.partition.threads == 1 and self.may_rebind():
            take = [self._take(reader, calls[reader.segment]) for reader in readers]
        return self.program(calls, readers=take)

    def program(self, calls: Calls, **parts: Any) -> Program:
        """The program of `calls`, with what else belongs to it."""
        memory, outputs = self.memory, self.recording.outputs
        found = {name: memory.array(node) for name, node in outputs.items()}
        arena = memory.arena
        made = (calls, found, arena.nbytes, arena.owned)
        return Program(*made, partition=self.partition, **parts)

    # One call a node.

    def each(self, run: list[Traced]) -> list[Any]:
        """One call a node, on whole arrays."""
        calls: list[Any] = []
        for node in run:
            if node.op == "store":
                if not self.memory.stored(node):
                    target, source = self._operands(node, self.memory.array)
                    calls += [primitives.copy(self.backend, target, source)]
            else:
                out = self.memory.place(node)
                calls += self.node(node, self._operands(node, self.memory.array), out)
            self.memory.release([node])
        return calls

    def _operands(self, node: Traced, lookup: Callable[[Traced], Array]) -> list[Any]:
        """The arguments of `node` as arrays and numbers of the dtype it works in."""
        host, kinds = self.backend.is_host, argument_dtypes(node)
        # A 0-d array spares NumPy the conversion of every replay (0.25 us a call).
        return [
            lookup(a) if isinstance(a, Traced) else np.array(a, kind) if host else a
            for a, kind in zip(node.args, kinds, strict=True)
        ]

    def node(self, node: Traced, operands: list[Any], out: Array) -> list[Any]:
        """The calls that compute `node` of `operands` into `out`."""
        backend, op, x = self.backend, node.op, operands[0]
        xp, host = backend.xp, backend.is_host
        if isinstance(op, np.ufunc):
            function = op if host else getattr(xp, op.__name__)
            if op in (np.maximum, np.minimum):  # their third position is deprecated
                return [(partial(function, out=out), tuple(operands))]
            return [(function, (*operands, out))]
        if op == "where":  # `out` may be `b`
            condition, a, b = operands
            first = [] if b is out else [primitives.copy(backend, out, b)]
            return [*first, (xp.copyto, (out, a, "unsafe", condition))]
        if op == "cast":
            return [primitives.copy(backend, out, x)]
        if op == "matmul":
            return self._products(x, operands[1], out)
        if op == "product_sum":
            if host:
                return self._products(*with_ones(x, node.options[0]), out)
            return [(xp.sum, (x, node.options[0], None, out, True))]
        axes, keepdims = node.options
        if host:
            ufunc = np.add if op == "sum" else np.maximum
            axis = axes if len(axes) > 1 else axes[0]
            return [(ufunc.reduce, (x, axis, None, out, keepdims))]
        if op == "sum":
            return [(xp.sum, (x, axes, None, out, keepdims))]
        return [(xp.amax, (x, axes, out, keepdims))]

    def _products(self, a: Array, b: Array, out: Array) -> list[Call]:
        """out = a @ b, in the parts in which the threads of C compute it."""
        threads = self.partition.threads
        product = partial(primitives.product, self.backend)
        cut = cut_of(a, b, self.partition)
        if cut == "rows":
            rows = blocks(len(a), threads)
            return [product(a[part], b, out[part]) for part in rows]
        if cut != "sum" or not out.flags.c_contiguous:
            return [product(a, b, out)]
        rows = blocks(len(b), threads)
        shape = (len(rows), *out.shape)
        parts = self.memory.arena.take(object(), shape, out.dtype)
        each = zip(rows, parts, strict=True)
        calls = [product(a[:, part], b[part], sum_) for part, sum_ in each]
        first = parts[0]
        for part in parts[1:]:
            calls.append((np.add, (first, part, out)))
            first = out
        return calls

    # Block by block.

    def _in_blocks(self, run: list[Traced]) -> list[Call]:
        """The run over one block of rows after the other."""
        shape, memory = run[0].shape, self.memory
        axis, step = _blocks(shape, tuning.BLOCK_ELEMENTS)
        part = tuple(min(step, n) if i == axis else n for i, n in enumerate(shape))
        values = [node for node in run if node.op != "store"]
        # Whole buffers first: a block's temporary must not hand its memory to one.
        for node in values:
            if memory.leaves(node, run):
                memory.place(node, run)
        last_use, position = memory.plan.last_use, memory.plan.position
        blocked: dict[Traced, Array] = {}
        for node in values:
            if node not in memory.arrays:
                blocked[node] = self._block_buffer(node, part, blocked)
                for a in node.args:
                    if a in blocked and last_use[a] == position[node]:
                        memory.arena.free(a)
        calls: list[Call] = []
        for start in range(0, shape[axis], step):
            rows = slice(start, min(start + step, shape[axis]))
            calls += self._of_rows(run, axis, rows, blocked)
        memory.release(run)
        return calls

    def _block_buffer(
        self, node: Traced, part: tuple[int, ...], blocked: dict[Traced, Array]
    ) -> Array:
        """A temporary of one block: a dying temporary's, or a new one."""
        candidate = self.memory.in_place_candidate(node, ())
        if candidate in blocked:
            self.memory.arena.take_over_buffer(candidate, node)
            return blocked[candidate]
        return self.memory.arena.take(node, part, node.dtype)

    def _of_rows(
        self, run: list[Traced], axis: int, rows: slice, blocked: dict[Traced, Array]
    ) -> list[Call]:
        shape = run[0].shape

        def part(value: Traced) -> Array:
            if value in blocked:
                return _rows(blocked[value], axis, slice(0, rows.stop - rows.start))
            array = self.memory.array(value)
            at = axis - (len(shape) - array.ndim)
            if at < 0 or array.shape[at] == 1:
                return array
            return _rows(array, at, rows)

        calls: list[Call] = []
        for node in run:
            if node.op != "store":
                calls += self.node(node, self._operands(node, part), part(node))
            elif not self.memory.stored(node):
                target, source = self._operands(node, part)
                calls += [primitives.copy(self.backend, target, source)]
        return calls

    # Another batch.

    def may_rebind(self) -> bool:
        """Whether products alone read the source, which then may be another array."""
        source = self.recording.source
        if source is None or not self.backend.is_host:
            return False
        for node in self.memory.plan.live:
            for a in node.args:
                if isinstance(a, Traced) and a.root is source:
                    turned = a.op in ("transpose", "reshape") and a.args[0] is source
                    if node.op != "matmul" or not (a is source or turned):
                        return False
        return True

    def _take(self, reader: Reader, row: list[Any]) -> Callable[[Array], None]:
        """What gives another array to the product of `reader`, a call of `row`."""
        backend, args, source = self.backend, reader.node.args, self.recording.source
        out = self.memory.array(reader.node)
        # The tape lets go of its arrays.
        own = [None if a.root is source else self.memory.array(a) for a in args]

        def take(array: Array) -> None:
            x, y = (
                array if a is source else view(array, a) if fixed is None else fixed
                for a, fixed in zip(args, own, strict=True)
            )
            row[reader.index] = primitives.product(backend, x, y, out)

        return take


def _blocks(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """(axis, step): slices of `step` along `axis` hold about `size` elements."""
    total = int(np.prod(shape))
    axis = 0 if total // shape[0] <= size else int(np.argmax(shape))
    return axis, max(1, size * shape[axis] // total)


def _rows(array: Array, axis: int, rows: slice) -> Array:
    return array[(slice(None),) * axis + (rows,)]
