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

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler.cuda.iteration_space import (
    frame_of,
    kept_shape,
    padded,
    reduced_axes,
    run_axes,
    tail_of,
)
from xpnet.compiler.cuda.kernel import SHARED, Kernel
from xpnet.compiler.cuda.launch import address
from xpnet.compiler.expressions import C_NAMES, expression, literal
from xpnet.compiler.loop_nest import REDUCTIONS, Fused
from xpnet.trace import Traced

FLAT_THREADS = 256
WARP = 32
ROW_WARPS = 4  # rows a block, where a warp does a row
LONG_ROW = 1024  # elements from which a block does a row; fewer where rows are few
COLUMNS = (8, 16, 32)  # a block
BLOCKS = 132  # multiprocessors to fill, of an H100 or H200
OUTER, INNER, COLUMN = "outer", "inner", "column"


@dataclass
class _Axis:
    """One axis of the frame, or neighbouring ones as one."""

    size: int
    label: str
    name: str = ""


class _Writer(Fused):
    """The text of one kernel."""

    def __init__(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        dtypes: Callable[[Traced], list[np.dtype[Any]]],
    ) -> None:
        super().__init__(run, array, kept, dtypes)
        self.frame = frame_of(run)
        self.reduced = run_axes(run)
        self.column = self.reduced == (len(self.frame) - 2,) and self.frame[-1] > 1
        self.tail = tail_of(run)
        self.lines = {n for n in run if self._is_line(n)}
        self.arrays: list[Array] = []
        self.strides: list[tuple[int, ...]] = []
        self.place: dict[Traced, int] = {}
        self.written: set[int] = set()
        self.in_memory: set[Traced] = set()
        self._collect()
        self.axes = self._merged()
        self._choose_threads()

    def _is_line(self, node: Traced) -> bool:
        """Whether `node` is one number a line rather than one an element."""
        if not self.reduced or node.op in REDUCTIONS:
            return bool(self.reduced)
        shape = padded(node.shape, len(self.frame))
        return all(shape[i] == 1 for i in self.reduced)

    # Arrays: each is a parameter, with its strides along the frame's axes.

    def _collect(self) -> None:
        found: dict[tuple[Any, ...], int] = {}
        for node in self.run:
            operands = node.args[1:] if node.op == "store" else node.args
            for a in operands:
                if isinstance(a, Traced) and a not in self.inside:
                    self._add(a, found)
            result = node.args[0] if node.op == "store" else node
            if node.op == "store" or node in self.kept:
                self._add(result, found)
                self.written.add(self.place[result])

    def _add(self, node: Traced, found: dict[tuple[Any, ...], int]) -> None:
        array = self.array(node)
        steps = list(array.strides)
        if node in self.inside and node.op in REDUCTIONS:
            shape = kept_shape(node)
            for axis in reduced_axes(node) if len(shape) > len(steps) else ():
                steps.insert(axis, 0)
        else:
            shape = node.shape
        item = array.dtype.itemsize
        strides = [s // item if n > 1 else 0 for n, s in zip(shape, steps, strict=True)]
        full = (0,) * (len(self.frame) - len(strides)) + tuple(strides)
        key = (address(array), full, array.dtype)
        if key not in found:
            found[key] = len(self.arrays)
            self.arrays.append(array)
            self.strides.append(full)
        self.place[node] = found[key]

    def _merged(self) -> list[_Axis]:
        """The frame's axes, neighbours taken as one where every array allows it."""
        axes: list[_Axis] = []
        steps: list[list[int]] = []  # of all arrays, axis by axis
        for i, n in enumerate(self.frame):
            label = INNER if i in self.reduced else OUTER
            if self.column and i == len(self.frame) - 1:
                label = COLUMN
            here = [s[i] for s in self.strides]
            if n == 1:
                continue
            if (
                axes
                and axes[-1].label == label
                and steps[-1] == [step * n for step in here]
            ):
                axes[-1].size *= n
                steps[-1] = here
            else:
                axes.append(_Axis(n, label, f"c{len(axes)}"))
                steps.append(here)
        self.strides = [tuple(s[j] for s in steps) for j in range(len(self.arrays))]
        return axes

    def _choose_threads(self) -> None:
        outer, inner = self._count(OUTER), self._count(INNER)
        self.across = 0
        if not self.reduced:
            self.block, self.blocks = FLAT_THREADS, -(-outer // FLAT_THREADS)
        elif self.column:
            width = self._count(COLUMN)
            filling = [w for w in COLUMNS if outer * -(-width // w) >= BLOCKS]
            self.block = 256 if inner <= LONG_ROW else 1024
            each = 8 * self.block // WARP * sum(n.op in REDUCTIONS for n in self.run)
            filling = [w for w in filling if each * w <= SHARED]
            self.across = max(filling, default=COLUMNS[0])
            self.blocks = outer * -(-width // self.across)
        elif inner <= 256 or (inner <= LONG_ROW and outer >= BLOCKS):
            self.block, self.blocks = WARP * ROW_WARPS, -(-outer // ROW_WARPS)
        else:
            self.block, self.blocks = (256 if inner <= 16384 else 1024), outer
        self.by_warp = bool(self.reduced) and not self.column and self.block == 128
        reach = [
            sum(abs(s) * a.size for s, a in zip(steps, self.axes, strict=True))
            for steps in self.strides
        ]
        largest = max(self.blocks * self.block, inner + self.block, *reach, 1)
        self.index = "int" if largest < 2**31 else "long long"

    def _count(self, label: str) -> int:
        return math.prod(a.size for a in self.axes if a.label == label)

    # Text.

    def kernel(self) -> Kernel:
        """The kernel of the run."""
        return Kernel(
            ("column" if self.column else "row") if self.reduced else "flat",
            tuple(map(self._parameter, range(len(self.arrays)))),
            tuple(self._lines() if self.reduced else self._flat()),
            self.blocks,
            self.block,
            tuple(self.arrays),
            frozenset(self.written),
        )

    def _parameter(self, place: int) -> str:
        kind = C_NAMES[self.arrays[place].dtype]
        const = "" if place in self.written else "const "
        return f"{const}{kind}* __restrict__ a{place}"

    def _coordinates(self, label: str, linear: str) -> list[str]:
        """The axes of `label` out of their linear index; the last runs fastest."""
        axes = [a for a in self.axes if a.label == label]
        lines, before = [], math.prod(a.size for a in axes)
        for k, axis in enumerate(axes):
            before //= axis.size
            text = f"{linear} / {before}" if before > 1 else linear
            text = f"{text} % {axis.size}" if k else text
            lines.append(f"const {self.index} {axis.name} = {text};")
        return lines

    def _flat(self) -> list[str]:
        at = f"({self.index})block * {self.block} + threadIdx.x"
        loose = [n for n in self.run if n not in self.tail]
        return [
            f"const {self.index} i = {at};",
            f"if (i >= {self._count(OUTER)}) return;",
            *self._coordinates(OUTER, "i"),
            *[line for node in loose for line in self._compute(node)],
            *self._tail(""),
        ]

    def _lines(self) -> list[str]:
        """Line by line: passes, and before each what is one number a line."""
        last = max(self.stage[n] for n in self.run)
        text = self._column_head() if self.column else self._row_head()
        for stage in range(last + 2):
            text += self._line_numbers(stage)
            text += self._pass(stage)
        return text + self._tail(self._leader())

    def _row_head(self) -> list[str]:
        if not self.by_warp:
            lines = [
                f"const {self.index} line = block;",
                f"const {self.index} first = threadIdx.x;",
            ]
        else:
            at = f"({self.index})block * {ROW_WARPS} + (threadIdx.x >> 5)"
            lines = [
                f"const {self.index} line = {at};",
                f"const {self.index} first = threadIdx.x & 31;",
                f"if (line >= {self._count(OUTER)}) return;",
            ]
        return [*lines, *self._coordinates(OUTER, "line")]

    def _column_head(self) -> list[str]:
        width, across = self._count(COLUMN), self.across
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

    def _leader(self) -> str:
        """The condition that holds for one thread a line."""
        return "first == 0 && mine" if self.column else "first == 0"

    def _line_numbers(self, stage: int) -> list[str]:
        lines = []
        for node in self.run:
            if node not in self.lines or node in self.tail:
                continue
            if node.op in REDUCTIONS:
                if self.stage[node] + 1 == stage and node in self.kept:
                    lines += self._write(node, self.names[node], self._leader())
            elif self.stage[node] == stage:
                lines += self._compute(node, self._leader())
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
                body += self._compute(
                    node, "mine" if self.column else "", node in writers
                )
        step = WARP if self.by_warp else self.block // (self.across or 1)
        bound = f"k < {self._count(INNER)}; k += {step}"
        return [
            *[f"{_wide(n)} {self.names[n]} = {_start(n)};" for n in sums],
            f"for ({self.index} k = first; {bound}) {{",
            *[f"    {line}" for line in body],
            "}",
            *[line for node in sums for line in self._combine(node)],
        ]

    def _take_in(self, node: Traced) -> str:
        """One element joins a thread's own sum or largest."""
        name, value = self.names[node], self._operand(node.args[0], node.dtype)
        return f"{{ const {_wide(node)} v = {value}; {_join(node, name, 'v')} }}"

    def _combine(self, node: Traced) -> list[str]:
        """What the threads of a line have found becomes one number that all hold."""
        name, kind = self.names[node], _wide(node)
        other = f"const {kind} v = __shfl_xor_sync(FULL_WARP, {name}, o);"
        across, warps = self.across or 1, self.block // WARP
        lines = [
            f"for (int o = {across}; o < {WARP}; o <<= 1) {{ "
            f"{other} {_join(node, name, 'v')} }}"
        ]
        if self.by_warp:
            return lines
        lane = f"threadIdx.x % {across}" if self.column else "0"
        shared = f"s{name[1:]}"
        return [
            *(lines if across < WARP else []),
            f"__shared__ {kind} {shared}[{warps * across}];",
            f"if (threadIdx.x % {WARP} < {across}) "
            f"{shared}[threadIdx.x / {WARP} * {across} + {lane}] = {name};",
            "__syncthreads();",
            f"{name} = {shared}[{lane}];",
            f"for (int w = 1; w < {warps}; w++) {{ const {kind} v = "
            f"{shared}[w * {across} + {lane}]; {_join(node, name, 'v')} }}",
        ]

    def _tail(self, leader: str) -> list[str]:
        """What nothing else in the kernel needs: one thread an element, in order."""
        shapes = list(dict.fromkeys(n.shape for n in self.run if n in self.tail))
        text: list[str] = []
        for shape in shapes:
            group = [n for n in self.run if n in self.tail and n.shape == shape]
            written = [n for n in group if n.op == "store" or n in self.kept]
            text.append(f"if ({self._guard(written[0], leader) or 'true'}) {{")
            for node in group:
                text += [f"    {line}" for line in self._compute(node, "", True, False)]
            text.append("}")
        return text

    # One node.

    def _compute(
        self, node: Traced, leader: str = "", write: bool = True, guarded: bool = True
    ) -> list[str]:
        """The value of `node`, and where it is kept, its memory; a store's memory."""
        if node.op == "store":
            target, value = node.args
            text = self._operand(value, target.dtype)
            return self._write(node, text, leader, guarded)
        args = [
            self._operand(a, kind)
            for a, kind in zip(node.args, self.dtypes(node), strict=True)
        ]
        name = self.names[node]
        value = expression(node, args, self.dtypes(node))
        lines = [f"const {C_NAMES[node.dtype]} {name} = {value};"]
        if write and node in self.kept:
            lines += self._write(node, name, leader, guarded)
        return lines

    def _write(
        self, node: Traced, text: str, leader: str, guarded: bool = True
    ) -> list[str]:
        guard = self._guard(node, leader) if guarded else ""
        result = node.args[0] if node.op == "store" else node
        line = f"{self._element(result)} = {text};"
        return [f"if ({guard}) {line}" if guard else line]

    def _guard(self, node: Traced, leader: str) -> str:
        """The condition under which a thread is the one that writes its element."""
        place = self.place[node.args[0] if node.op == "store" else node]
        line = node in self.lines
        still = [
            f"{axis.name} == 0"
            for axis, step in zip(self.axes, self.strides[place], strict=True)
            if step == 0 and not (line and axis.label == INNER)
        ]
        return " && ".join([leader, *still] if leader else still)

    def _operand(self, value: Any, dtype: np.dtype[Any]) -> str:
        if not isinstance(value, Traced):
            return literal(value, dtype)
        inside = value in self.inside and value not in self.in_memory
        text = self.names[value] if inside else self._element(value)
        return text if value.dtype == dtype else f"(({C_NAMES[dtype]}){text})"

    def _element(self, node: Traced) -> str:
        place = self.place[node]
        terms = [
            axis.name if step == 1 else f"{axis.name} * {step}"
            for axis, step in zip(self.axes, self.strides[place], strict=True)
            if step
        ]
        return f"a{place}[{' + '.join(terms) or '0'}]"


def _wide(node: Traced) -> str:
    """The C type that a reduction is held in: shuffles take no narrow ones."""
    narrow = node.dtype.itemsize < 4
    return "int" if narrow else C_NAMES[node.dtype]


def _start(node: Traced) -> str:
    """The sum, or the largest, of no elements."""
    if node.op != "max":
        return literal(0, node.dtype)
    if node.dtype.kind == "f":
        return literal(-math.inf, node.dtype)
    if node.dtype.kind == "b":
        return "0"
    return literal(int(np.iinfo(node.dtype).min), node.dtype)


def _join(node: Traced, name: str, other: str) -> str:
    if node.op == "max":  # NaN stays, as in NumPy
        keep = f"{name} >= {other} || {name} != {name}"
        return f"{name} = {keep} ? {name} : {other};"
    return f"{name} = {name} + {other};"


def emit(
    run: list[Traced],
    array: Callable[[Traced], Array],
    kept: set[Traced],
    dtypes: Callable[[Traced], list[np.dtype[Any]]],
) -> Kernel:
    """The kernel of `run`; the arguments are those of `Fused`.

    The run must be one that `schedule.fits` accepts.
    """
    return _Writer(run, array, kept, dtypes).kernel()
