"""From a run of the tape to one CUDA kernel, in one of three shapes.

*flat*: every node elementwise; one thread an element.

*row*: with sums or maxima over some axes, most often the last. A warp (a block, where
lines are long) goes over one line, pass by pass; its lanes combine what they have found
by shuffles. Softmax cross-entropy, bias included, is one such kernel.

*column*: with sums or maxima over the axis -2, the batch. A block goes over 8 to 32
neighbouring columns, so that its reads are of whole sectors; the rows are dealt out to
its threads in a fixed order. δ with Σδ is one such kernel, batch normalisation another.

Shapes and strides are written into the text as numbers. A kernel is named after a hash
of its text: equal kernels of different programs are one.
"""

from abc import abstractmethod
from collections.abc import Callable

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.compiler.cuda.kernel import SHARED_MEMORY_BYTES, Kernel
from xpnet.compiler.cuda.writer import COLUMN, INNER, OUTER, Writer, by_columns
from xpnet.compiler.expressions import C_NAMES, literal, lowest
from xpnet.compiler.loop_nest import REDUCTIONS, frame_of, padded, run_axes
from xpnet.trace import Traced

WARP = 32


class _Flat(Writer):
    """Every node elementwise: one thread an element."""

    kind = "flat"

    def _threads(self) -> tuple[int, int]:
        return tuning.FLAT_THREADS, -(-self.count(OUTER) // tuning.FLAT_THREADS)

    def _body(self) -> list[str]:
        at = f"({self.index})block * {self.block} + threadIdx.x"
        loose = [n for n in self.run if n not in self.tail]
        return [
            f"const {self.index} i = {at};",
            f"if (i >= {self.count(OUTER)}) return;",
            *self._coordinates(OUTER, "i"),
            *[line for node in loose for line in self._compute(node)],
            *self._tail(""),
        ]


class _Lines(Writer):
    """Line by line: passes, and before each what is one number a line.

    Attributes:
        leader: the condition that holds for one thread a line.
        mine: the condition under which a thread's elements are its own.
    """

    leader, mine = "first == 0", ""

    @abstractmethod
    def _head(self) -> list[str]:
        """The line of a thread, and its first element."""

    @abstractmethod
    def _step(self) -> int:
        """How many threads share a line."""

    @abstractmethod
    def _combine(self, node: Traced) -> list[str]:
        """What the threads of a line have found becomes one number that all hold."""

    def _body(self) -> list[str]:
        text = self._head()
        for stage in range(max(self.stage[n] for n in self.run) + 2):
            text += self._line_numbers(stage)
            text += self._pass(stage)
        return text + self._tail(self.leader)

    def _line_numbers(self, stage: int) -> list[str]:
        lines = []
        for node in self.run:
            if node not in self.lines or node in self.tail:
                continue
            if node.op in REDUCTIONS:
                if self.stage[node] + 1 == stage and node in self.kept:
                    lines.append(self._write(node, self.leader))
            elif self.stage[node] == stage:
                lines += self._compute(node, self.leader)
        return lines

    def _pass(self, stage: int) -> list[str]:
        """One loop over the line: what is stored or found in this pass."""
        sums = [n for n in self.run if n.op in REDUCTIONS and self.stage[n] == stage]
        kept = [
            n
            for n in self.run
            if n not in self.lines
            and self.stage[n] == stage
            and (n.op == "store" or n in self.kept)
        ]
        if not sums and not kept:
            return []
        # What an earlier pass has written is read back, by the thread that wrote it.
        self.in_memory = {
            n
            for n in self.kept
            if n not in self.lines
            and self.stage[n] < stage
            and padded(n.shape, len(self.frame)) == self.frame
        }
        body, writers = self._coordinates(INNER, "k"), set(kept)
        for node in self.needed([*kept, *sums], self.lines | self.in_memory):
            if node.op in REDUCTIONS:
                body.append(self._take_in(node))
            else:
                body += self._compute(node, self.mine, node in writers)
        bound = f"k < {self.count(INNER)}; k += {self._step()}"
        return [
            *[f"{_wide(n)} {self.names[n]} = {_start(n)};" for n in sums],
            f"for ({self.index} k = first; {bound}) {{",
            *[f"    {line}" for line in body],
            "}",
            *[line for node in sums for line in self._combine(node)],
        ]

    def _take_in(self, node: Traced) -> str:
        """One element joins a thread's own sum or largest."""
        name, value = self.names[node], self.operand(node.args[0], node.dtype)
        return f"{{ const {_wide(node)} v = {value}; {_join(node, name, 'v')} }}"

    def _shuffled(self, node: Traced, across: int) -> str:
        """Lanes of a warp, `across` columns, combine what they have found."""
        name = self.names[node]
        other = f"const {_wide(node)} v = __shfl_xor_sync(FULL_WARP, {name}, o);"
        return (
            f"for (int o = {across}; o < {WARP}; o <<= 1) {{ "
            f"{other} {_join(node, name, 'v')} }}"
        )

    def _through_memory(self, node: Traced, across: int, lane: str) -> list[str]:
        """Warps of a block likewise."""
        name, kind, warps = self.names[node], _wide(node), self.block // WARP
        shared = f"s{name[1:]}"
        return [
            f"__shared__ {kind} {shared}[{warps * across}];",
            f"if (threadIdx.x % {WARP} < {across}) "
            f"{shared}[threadIdx.x / {WARP} * {across} + {lane}] = {name};",
            "__syncthreads();",
            f"{name} = {shared}[{lane}];",
            f"for (int w = 1; w < {warps}; w++) {{ const {kind} v = "
            f"{shared}[w * {across} + {lane}]; {_join(node, name, 'v')} }}",
        ]


class _Row(_Lines):
    """A warp a line, or a block where lines are long."""

    kind = "row"

    def _threads(self) -> tuple[int, int]:
        outer, inner = self.count(OUTER), self.count(INNER)
        self.by_warp = inner <= 256 or (
            inner <= tuning.LONG_ROW_ELEMENTS and outer >= tuning.MULTIPROCESSORS
        )
        if self.by_warp:
            return WARP * tuning.ROWS_PER_BLOCK, -(-outer // tuning.ROWS_PER_BLOCK)
        return (256 if inner <= 16384 else 1024), outer

    def _head(self) -> list[str]:
        if not self.by_warp:
            lines = [
                f"const {self.index} line = block;",
                f"const {self.index} first = threadIdx.x;",
            ]
        else:
            at = f"({self.index})block * {tuning.ROWS_PER_BLOCK} + (threadIdx.x >> 5)"
            lines = [
                f"const {self.index} line = {at};",
                f"const {self.index} first = threadIdx.x & 31;",
                f"if (line >= {self.count(OUTER)}) return;",
            ]
        return [*lines, *self._coordinates(OUTER, "line")]

    def _step(self) -> int:
        return WARP if self.by_warp else self.block

    def _combine(self, node: Traced) -> list[str]:
        lines = [self._shuffled(node, 1)]
        return lines if self.by_warp else lines + self._through_memory(node, 1, "0")


class _Column(_Lines):
    """A block for some neighbouring columns."""

    kind, leader, mine = "column", "first == 0 && mine", "mine"

    def _threads(self) -> tuple[int, int]:
        outer, inner, width = map(self.count, (OUTER, INNER, COLUMN))
        filling = [
            w
            for w in tuning.COLUMNS_PER_BLOCK
            if outer * -(-width // w) >= tuning.MULTIPROCESSORS
        ]
        block = 256 if inner <= tuning.LONG_ROW_ELEMENTS else 1024
        each = 8 * block // WARP * sum(n.op in REDUCTIONS for n in self.run)
        filling = [w for w in filling if each * w <= SHARED_MEMORY_BYTES]
        self.across = max(filling, default=tuning.COLUMNS_PER_BLOCK[0])
        return block, outer * -(-width // self.across)

    def _head(self) -> list[str]:
        width, across = self.count(COLUMN), self.across
        groups = -(-width // across)
        column = self.axes[-1].name
        return [
            f"const {self.index} line = block / {groups};",
            f"const {self.index} first = threadIdx.x / {across};",
            f"const {self.index} at = block % {groups} * {across} "
            f"+ threadIdx.x % {across};",
            f"const bool mine = at < {width};  // others only keep step",
            f"const {self.index} {column} = mine ? at : {width - 1};",
            *self._coordinates(OUTER, "line"),
        ]

    def _step(self) -> int:
        return self.block // self.across

    def _combine(self, node: Traced) -> list[str]:
        lines = [self._shuffled(node, self.across)] if self.across < WARP else []
        lane = f"threadIdx.x % {self.across}"
        return lines + self._through_memory(node, self.across, lane)


def _wide(node: Traced) -> str:
    """The C type that a reduction is held in: shuffles take no narrow ones."""
    narrow = node.dtype.itemsize < 4
    return "int" if narrow else C_NAMES[node.dtype]


def _start(node: Traced) -> str:
    """The sum, or the largest, of no elements."""
    return lowest(node.dtype) if node.op == "max" else literal(0, node.dtype)


def _join(node: Traced, name: str, other: str) -> str:
    if node.op == "max":  # NaN stays, as in NumPy
        keep = f"{name} >= {other} || {name} != {name}"
        return f"{name} = {keep} ? {name} : {other};"
    return f"{name} = {name} + {other};"


def emit(
    run: list[Traced],
    array: Callable[[Traced], Array],
    kept: set[Traced],
) -> Kernel:
    """The kernel of `run`; the arguments are those of `LoopNest`.

    The run must be one that `fusion.fits` accepts.
    """
    axes = run_axes(run)
    lines = _Column if by_columns(frame_of(run), axes) else _Row
    writer = lines if axes else _Flat
    return writer(run, array, kept).kernel()
