"""From a tape to a program: which calls, in which order, on which buffers.

Four passes, each short:

1. *Live nodes.* Only what a store or an output needs is kept; the input gradient of
   the first layer, for one, disappears here.
2. *Destinations.* A value whose only fate is to be stored (a weight gradient, an
   updated parameter) is computed straight into the place where it is wanted.
3. *Runs.* Consecutive elementwise operations over one large shape run block by block,
   so that their temporaries stay in the cache and cost a block of memory, not a
   parameter buffer each.
4. *Buffers.* A value's memory is used again after its last use; an elementwise result
   takes over the memory of an operand that dies with it.

What crosses from one segment into another keeps its buffer for the whole program, so
segments may run in any order that respects their data.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.backend.blas import openblas
from xpnet.compiler import primitives
from xpnet.compiler.analysis import Plan, argument_dtypes, frame
from xpnet.compiler.buffers import ROOM, Arena
from xpnet.compiler.drivers import driver_of
from xpnet.compiler.loop_nest import REDUCTIONS
from xpnet.compiler.loops import Loop
from xpnet.compiler.primitives import Call
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import ALONE, Crew
from xpnet.trace import Tape, Traced
from xpnet.trace.array import VIEWS, view
from xpnet.trace.sums import with_ones

if TYPE_CHECKING:
    from xpnet.compiler.c.cache_key import Recorded
    from xpnet.compiler.c.linker import Linker, Native
    from xpnet.compiler.cuda.module import Kernels


def compile_tape(
    tape: Tape,
    backend: Backend,
    outputs: dict[str, Traced],
    segments: tuple[str, ...],
    loops: bool = False,
    source: Traced | None = None,
    members: int | None = None,
    wait: bool = True,
    crew: Crew | None = None,
) -> Program:
    """The program of `tape` on `backend`.

    Args:
        tape: the record.
        backend: where buffers are allocated and whose primitives are called.
        outputs: nodes whose values must still be readable after a replay.
        segments: the names of the segments, so that an empty one runs too.
        loops: compile runs of operations: where the backend has a driver to CUDA
            kernels (see `cuda/`), elsewhere in C (see `native/`), or with Numba
            (`loops.py`) where there is no C compiler.
        source: the leaf that a batch is read from (see `Program.rebind`).
        members: networks along the first axis of a stack's arrays.
        wait: for the C compiler.
        crew: of an earlier program of this tape, which decides its bits; None to
            choose.

    Raises:
        NotCompiledError: it has work to do first, and `wait` is False.
        BuildError: it refused.
    """
    recorded = None
    if loops and _native(backend):
        from xpnet.compiler import c as native

        what = (tape, backend, outputs, segments, source, members, crew)
        recorded = native.recorded(*what)
        program = None if recorded is None else native.remade(recorded, wait)
        if program is not None:
            return program
    compiler = _Compiler(tape, backend, outputs, loops, source, members, crew)
    try:
        return compiler.program(segments, wait, recorded)
    finally:  # it refers back, and would keep every buffer until Python looks for rings
        compiler.linker = None


BLOCK_ELEMENTS = 16384  # six float32 operands of a block fit in a 512 KiB L2 cache


class _Compiler:
    """The passes above, over one tape."""

    def __init__(
        self,
        tape: Tape,
        backend: Backend,
        outputs: dict[str, Traced],
        loops: bool,
        source: Traced | None,
        members: int | None = None,
        crew: Crew | None = None,
    ) -> None:
        self.backend = backend
        self.outputs = outputs
        self.loops = loops
        self.kernels: Kernels | None = None
        plan: type[Plan] = Plan
        driver = driver_of(backend) if loops else None
        if driver is not None:
            from xpnet.compiler import cuda

            self.kernels, plan = cuda.Kernels(driver), cuda.DevicePlan
        self.plan = plan(tape, list(outputs.values()), loops)
        # How products are divided decides their bits: in calls as in C.
        rows = source.shape[0] if source is not None and members is None else 0
        self.crew = _crew(backend, self.plan.live, rows) if crew is None else crew
        divided = self.crew.threads > 1
        self.source = source
        self.readers: list[tuple[str, int, Traced]] = []
        self.arrays: dict[Traced, Array] = {}
        native = loops and _native(backend)
        # One place for all networks of a stack, one for the rows of a part.
        exact = native and (bool(members) or divided)
        room = self.crew.threads * ROOM if native and divided else 0
        self.arena = Arena(backend, exact, room)
        self.linker = self._linker(members) if native else None

    def program(
        self,
        segments: tuple[str, ...],
        wait: bool = True,
        recorded: "Recorded | None" = None,
    ) -> Program:
        """All four passes' result, kept for the next such tape if it is `recorded`."""
        calls: dict[str, list[Any]] = {name: [] for name in segments}
        for run in self.plan.runs():
            segment = calls[run[0].segment]
            if any(
                isinstance(a, Traced) and a.root is self.source for a in run[0].args
            ):
                self.readers.append((run[0].segment, len(segment), run[0]))
            segment += self._emit(run)
        outputs = {name: self.array(node) for name, node in self.outputs.items()}
        source, text, native, before = "", "", None, calls
        if self.kernels is not None:
            calls, source = self.kernels.compiled(calls), self.kernels.source
        elif self.linker is not None:
            if not self.outputs:  # which somebody reads as a whole
                self.linker.spread(calls, self.arena.owned)
            text = self.linker.text()
            source = self.linker.whole(text)
            calls, native = self.linker.link(calls, wait, text)
        readers = None
        if self._may_rebind(before, native):
            readers = [self._reader(*r, before, native) for r in self.readers]
        owned = self.arena.owned
        nbytes = self.arena.nbytes
        made = (calls, outputs, nbytes, owned, readers, source, native, self.crew)
        program = Program(*made)
        if recorded is not None:
            from xpnet.compiler.c.program_cache import remember
            from xpnet.compiler.c.serialise import plain

            found = plain(recorded, program, before, text, self.readers)
            if found is not None:
                remember(recorded.key, found)
        return program

    def _may_rebind(self, calls: dict[str, list[Any]], native: "Native | None") -> bool:
        """Whether nothing but products read the source, each in C if the rest is."""
        source, host = self.source, self.backend.is_host
        if source is None or not host:
            return False
        if native is None and self.crew.threads > 1:  # products are several calls
            return False
        if native is not None and any(
            isinstance(calls[segment][index], tuple)
            for segment, index, _ in self.readers
        ):
            return False
        for node in self.plan.live:
            for a in node.args:
                if isinstance(a, Traced) and a.root is source:
                    turned = a.op in ("transpose", "reshape") and a.args[0] is source
                    if node.op != "matmul" or not (a is source or turned):
                        return False
        return True

    def _reader(
        self,
        segment: str,
        index: int,
        node: Traced,
        calls: dict[str, list[Any]],
        native: "Native | None",
    ) -> Callable[[Array], None]:
        """What gives another array to the product `node`, call `index` of a segment."""
        row, source, backend = calls[segment], self.source, self.backend
        op, out = row[index], self.array(node)
        # The tape lets go of its arrays.
        own = [None if a.root is source else self.array(a) for a in node.args]

        def take(array: Array) -> None:
            x, y = (
                array if a is source else view(array, a) if fixed is None else fixed
                for a, fixed in zip(node.args, own, strict=True)
            )
            if native is None:
                row[index] = primitives.product(backend, x, y, out)
            else:
                native.point(op, [x, y, op.arrays[-1]])

        return take

    def array(self, node: Traced) -> Array:
        """The memory that holds `node`: a leaf's, a buffer, or a view of either."""
        if node.op == "leaf":
            return node.array
        if node not in self.arrays and node.op in VIEWS:
            self.arrays[node] = view(self.array(node.args[0]), node)
        return self.arrays[node]

    def _emit(self, run: list[Traced]) -> list[Call]:
        if self.kernels is not None:
            return self._emit_on_device(run, self.kernels)
        if self.linker is not None:
            return self._emit_native(run, self.linker)
        if self.loops and self.plan.fit(run) and _loop_pays(run):
            return self._emit_loop(run)
        if self._in_blocks(run):
            return self._emit_blocks(run)
        return self._emit_each(run)

    def _emit_native(self, run: list[Traced], linker: "Linker") -> list[Any]:
        """The run as one loop in C, or a call each."""
        alone = len(run) == 1 and self.plan.overlaps(run[0])  # NumPy looks out for it
        if alone or not self.plan.fit(run):
            return self._emit_each(run)
        if len(run) > 1 and _operands(run) > linker.most:
            return [op for node in run for op in self._emit_native([node], linker)]
        several = any(node.op == "max" for node in run)
        rest, kept = self._results(run, set() if several else set(run))
        ops: list[Any] = []
        if rest:
            shape = frame(run[0])
            ops = [linker.loop(rest, shape, self.array, kept, argument_dtypes)]
        for node in run:
            self._release(node)
        return ops

    def _emit_loop(self, run: list[Traced]) -> list[Call]:
        """The run as one compiled loop; what only it needs stays in registers."""
        # A later pass over the row reads operands again: none is given up.
        several = any(node.op == "max" for node in run)
        rest, kept = self._results(run, set() if several else set(run))
        loop = Loop(rest, frame(run[0]), self.array, kept, argument_dtypes)
        for node in run:
            self._release(node)
        return loop.calls(self.backend.threads)

    def _results(
        self, run: list[Traced], heirs: set[Traced]
    ) -> tuple[list[Traced], set[Traced]]:
        """(the run without stores that are not needed, what it leaves in memory).

        Args:
            run: nodes of one loop.
            heirs: those that may take over the memory of an operand.
        """
        end = self.plan.position[run[-1]]
        stores = [node for node in run if node.op == "store"]
        kept = set()
        for node in run:
            leaves = self.plan.last_use.get(node, 0) > end
            if node.op != "store" and (node in self.plan.destination or leaves):
                kept.add(node)
                place = node in heirs or node in self.plan.destination
                self.arrays[node] = (
                    self._place(node, run) if place else self._take(node)
                )
        written = {
            n for n in stores if self.plan.destination.get(n.args[1]) is n.args[0]
        }
        return [n for n in run if n not in written], kept

    def _emit_on_device(self, run: list[Traced], kernels: "Kernels") -> list[Call]:
        """The run as one kernel, or a call each."""
        from xpnet.compiler.cuda.iteration_space import frame_of, padded
        from xpnet.compiler.cuda.kernel_writer import emit

        if not self.plan.fit(run):
            dot = self._emit_dot(run[0], kernels) if len(run) == 1 else []
            return dot or self._emit_each(run)
        flat = not any(node.op in REDUCTIONS for node in run)
        whole = frame_of(run)
        full = {n for n in run if flat and padded(n.shape, len(whole)) == whole}
        rest, kept = self._results(run, full)
        calls: list[Call] = []
        if rest:
            calls = [kernels.call(emit(rest, self.array, kept, argument_dtypes))]
        for node in run:
            self._release(node)
        return calls

    def _emit_dot(self, node: Traced, kernels: "Kernels") -> list[Call]:
        """A row times a column, as the sum of a norm; nothing where it is not one."""
        from xpnet.compiler.cuda.module import dot_parts, is_dot

        if not is_dot(node):
            return []
        x, y = map(self.array, node.args)
        if not (x.flags.c_contiguous and y.flags.c_contiguous):
            return []
        target = self.plan.destination.get(node)
        if target is not None and not self.array(target).flags.c_contiguous:
            return []
        out = self.arrays[node] = self._place(node)
        n = node.args[0].shape[-1]
        lines, count = node.size, dot_parts(n)
        scratch = object()
        parts = self.arena.take(scratch, (lines, count), node.dtype)
        self.arena.free(scratch)
        self._release(node)
        rows = (lines, n)
        return kernels.dot(x.reshape(rows), y.reshape(rows), parts, out.reshape(lines))

    def _in_blocks(self, run: list[Traced]) -> bool:
        return self.backend.is_host and run[0].size > BLOCK_ELEMENTS and len(run) > 1

    def _emit_each(self, run: list[Traced]) -> list[Call]:
        """One call a node, on whole arrays."""
        calls: list[Call] = []
        for node in run:
            if node.op == "store":
                if self.plan.destination.get(node.args[1]) is not node.args[0]:
                    target, source = self._operands(node, self.array)
                    calls += [primitives.copy(self.backend, target, source)]
            else:
                self.arrays[node] = self._place(node)
                operands = self._operands(node, self.array)
                calls += self._calls(node, operands, self.arrays[node])
            self._release(node)
        return calls

    def _operands(self, node: Traced, lookup: Callable[[Traced], Array]) -> list[Any]:
        """The arguments of `node` as arrays and numbers of the dtype it works in."""
        kinds = argument_dtypes(node)
        return [
            lookup(a)
            if isinstance(a, Traced)
            else primitives.scalar(self.backend, a, kind)
            for a, kind in zip(node.args, kinds, strict=True)
        ]

    def _place(self, node: Traced, run: Iterable[Traced] = ()) -> Array:
        """Where `node` is computed: its destination, a dying operand, or a buffer."""
        if node in self.plan.destination:
            return self.array(self.plan.destination[node])
        heir = self._heir(node, run)
        if heir is not None:
            self.arena.inherit(heir, node)
            return self.arrays[heir]
        return self._take(node)

    def _take(self, node: Traced) -> Array:
        return self.arena.take(node, node.shape, node.dtype, self.plan.outlives(node))

    def _heir(self, node: Traced, run: Iterable[Traced]) -> Traced | None:
        """An operand whose memory an elementwise `node` may take over.

        In a run that goes block by block nobody may look at it under another shape.
        """
        if not isinstance(node.op, np.ufunc) and node.op != "where":
            return None
        if self.plan.outlives(node):
            return None
        viewed = {
            a.root
            for n in run
            for a in n.args
            if isinstance(a, Traced) and a.root is not a
        }
        # `where` writes its last operand first: only that one may be overwritten.
        first = 2 if node.op == "where" else 0
        for at, a in enumerate(node.args[first:], first):
            if (
                self._is_like(a, node, viewed)
                and self.plan.last_use.get(a) == self.plan.position[node]
                and not any(
                    isinstance(other, Traced) and other.root is a and i != at
                    for i, other in enumerate(node.args)
                    if other is not a or node.op == "where"
                )
            ):
                return a
        return self._heir_of_run(node, run, viewed)

    def _heir_of_run(
        self, node: Traced, run: Iterable[Traced], viewed: set[Traced]
    ) -> Traced | None:
        """What earlier nodes of `run` were the last to read, element by element."""
        now = self.plan.position[node]
        for n in run:
            if self.plan.position[n] >= now:
                break
            for a in n.args:
                gone = self.plan.last_use.get(a, now) < now
                if gone and self._is_like(a, node, viewed):
                    return a
        return None

    def _is_like(self, a: Any, node: Traced, viewed: set[Traced]) -> TypeGuard[Traced]:
        """Whether `a` has a buffer, seen as it is, that would hold `node`."""
        return (
            isinstance(a, Traced)
            and self.arena.owns(a)
            and a not in viewed
            and (a.shape, a.dtype) == (node.shape, node.dtype)
        )

    def _release(self, node: Traced) -> None:
        """Free what `node` was the last to use, and `node` if nobody wants it."""
        now = self.plan.position[node]
        for value in (node, *node.args):
            if isinstance(value, Traced):
                root = value.root
                if self.plan.last_use.get(root, now) <= now:
                    self.arena.free(root)

    def _emit_blocks(self, run: list[Traced]) -> list[Call]:
        """The run over one block of rows after the other."""
        shape, end = run[0].shape, self.plan.position[run[-1]]
        axis, step = _blocks(shape, BLOCK_ELEMENTS)
        part = tuple(min(step, n) if i == axis else n for i, n in enumerate(shape))
        values = [node for node in run if node.op != "store"]
        # Whole buffers first: a block's temporary must not hand its memory to one.
        for node in values:
            if node in self.plan.destination or self.plan.last_use.get(node, 0) > end:
                self.arrays[node] = self._place(node, run)
        blocked: dict[Traced, Array] = {}
        for node in values:
            if node not in self.arrays:
                blocked[node] = self._block_buffer(node, part, blocked)
                for a in node.args:
                    if (
                        a in blocked
                        and self.plan.last_use[a] == self.plan.position[node]
                    ):
                        self.arena.free(a)
        calls: list[Call] = []
        for start in range(0, shape[axis], step):
            rows = slice(start, min(start + step, shape[axis]))
            calls += self._emit_rows(run, axis, rows, blocked)
        for node in run:
            self._release(node)
        return calls

    def _block_buffer(
        self, node: Traced, part: tuple[int, ...], blocked: dict[Traced, Array]
    ) -> Array:
        """A temporary of one block: a dying temporary's, or a new one."""
        heir = self._heir(node, ())
        if heir in blocked:
            self.arena.inherit(heir, node)
            return blocked[heir]
        return self.arena.take(node, part, node.dtype)

    def _emit_rows(
        self, run: list[Traced], axis: int, rows: slice, blocked: dict[Traced, Array]
    ) -> list[Call]:
        shape = run[0].shape

        def part(value: Traced) -> Array:
            if value in blocked:
                return _rows(blocked[value], axis, slice(0, rows.stop - rows.start))
            array = self.array(value)
            at = axis - (len(shape) - array.ndim)
            if at < 0 or array.shape[at] == 1:
                return array
            return _rows(array, at, rows)

        calls: list[Call] = []
        for node in run:
            if node.op == "store":
                if self.plan.destination.get(node.args[1]) is not node.args[0]:
                    calls += [
                        primitives.copy(self.backend, *self._operands(node, part))
                    ]
            else:
                operands = self._operands(node, part)
                calls += self._calls(node, operands, part(node))
        return calls

    def _calls(self, node: Traced, operands: list[Any], out: Array) -> list[Any]:
        backend = self.backend
        ops = [] if self.linker is None else self.linker.ops(node, operands, out)
        if ops:
            return ops
        if isinstance(node.op, np.ufunc):
            return [primitives.elementwise(backend, node.op, operands, out)]
        if node.op == "where":
            condition, a, b = operands
            return primitives.where(backend, condition, a, b, out)
        if node.op == "cast":
            return [primitives.copy(backend, out, operands[0])]
        if node.op == "matmul":
            return self._products(operands[0], operands[1], out)
        if node.op == "product_sum":
            if self.crew.threads > 1:
                return self._products(*with_ones(operands[0], node.options[0]), out)
            return [primitives.product_sum(backend, operands[0], node.options[0], out)]
        axes, keepdims = node.options
        return [primitives.reduce(backend, node.op, operands[0], axes, keepdims, out)]

    def _linker(self, members: int | None) -> "Linker":
        """What makes calls of C."""
        from xpnet.compiler import c as native

        def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
            return self.arena.take(object(), shape, dtype, fresh=True)

        return native.Linker(members, lambda: self.backend.threads, self.crew, room)

    def _products(self, a: Array, b: Array, out: Array) -> list[Call]:
        """out = a @ b, in the parts in which a crew computes it."""
        from xpnet.compiler import c as native

        threads, product = self.crew.threads, partial(primitives.product, self.backend)
        cut = native.cut_of(a, b, self.crew)
        if cut == "rows":
            rows = native.blocks(len(a), threads)
            return [product(a[part], b, out[part]) for part in rows]
        if cut != "sum" or not out.flags.c_contiguous:
            return [product(a, b, out)]
        rows = native.blocks(len(b), threads)
        parts = self.arena.take(object(), (len(rows), *out.shape), out.dtype)
        each = zip(rows, parts, strict=True)
        calls = [product(a[:, part], b[part], sum_) for part, sum_ in each]
        first = parts[0]
        for part in parts[1:]:
            calls.append((np.add, (first, part, out)))
            first = out
        return calls


def _crew(backend: Backend, nodes: list[Traced], rows: int) -> Crew:
    """Who shares the calls: one thread where no compiler will make them C."""
    from xpnet.compiler import c as native

    if not (rows and _native(backend) and native.CREWS) or openblas() is None:
        return ALONE
    return native.crew_of(nodes, rows, backend.threads)


def _native(backend: Backend) -> bool:
    """Whether loops become C; where not, a driver or Numba makes them."""
    if not backend.is_host:
        return False
    from xpnet.compiler import c as native

    return native.available()


def _operands(run: list[Traced]) -> int:
    """At most so many arrays does a run read and write."""
    inside = set(run)
    read = [a for n in run for a in n.args if a not in inside]
    return len(run) + len(set(read))


def _loop_pays(run: list[Traced]) -> bool:
    """Whether one loop beats the NumPy calls: fewer calls, or no broadcasting."""
    values = [n for n in run if n.op != "store"]
    first = values[0] if values else None
    return len(values) > 1 or (
        first is not None
        and (
            first.op in ("max", "where", "cast")
            or any(isinstance(a, Traced) and a.shape != first.shape for a in first.args)
        )
    )


def _blocks(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """(axis, step): slices of `step` along `axis` hold about `size` elements."""
    total = int(np.prod(shape))
    axis = 0 if total // shape[0] <= size else int(np.argmax(shape))
    return axis, max(1, size * shape[axis] // total)


def _rows(array: Array, axis: int, rows: slice) -> Array:
    return array[(slice(None),) * axis + (rows,)]
