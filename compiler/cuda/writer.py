"""The text of a kernel's elements: where they lie, how they are computed."""

import math
from abc import abstractmethod
from collections.abc import Callable

from xpnet.backend import Array
from xpnet.compiler.cuda.kernel import Kernel
from xpnet.compiler.expressions import C_NAMES
from xpnet.compiler.loop_nest import (
    REDUCTIONS,
    LoopNest,
    frame_of,
    padded,
    run_axes,
    tail_of,
)
from xpnet.trace import Traced

OUTER, INNER, COLUMN = "outer", "inner", "column"


class Writer(LoopNest):
    """The text of one kernel; its arguments are those of `LoopNest`.

    Attributes:
        kind: "flat", "row" or "column".
        reduced: the axes that sums and maxima go over.
        tail: nodes that are computed at the end.
        lines: nodes that are one number a line rather than one an element.
        block: threads of a block.
        blocks: how many there are.
        index: the C type of an index.
    """

    kind = ""

    def __init__(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
    ) -> None:
        self.reduced = run_axes(run)
        super().__init__(run, frame_of(run), array, kept)
        self.tail = tail_of(run)
        self.lines = {n for n in run if self._is_line(n)}
        self.block, self.blocks = self._threads()
        reach = [
            sum(abs(s) * a.size for s, a in zip(steps, self.axes, strict=True))
            // array.dtype.itemsize
            for array, steps in zip(self.arrays, self.strides, strict=True)
        ]
        inner = self.count(INNER)
        largest = max(self.blocks * self.block, inner + self.block, *reach, 1)
        self.index = "int" if largest < 2**31 else "long long"

    def label(self, axis: int) -> str:
        """Whether a thread, a line or a block goes along it."""
        if by_columns(self.frame, self.reduced) and axis == len(self.frame) - 1:
            return COLUMN
        return INNER if axis in self.reduced else OUTER

    def count(self, label: str) -> int:
        """Elements along the axes of `label`."""
        return math.prod(a.size for a in self.axes if a.label == label)

    def _is_line(self, node: Traced) -> bool:
        """Whether `node` is one number a line rather than one an element."""
        if not self.reduced or node.op in REDUCTIONS:
            return bool(self.reduced)
        shape = padded(node.shape, len(self.frame))
        return all(shape[i] == 1 for i in self.reduced)

    @abstractmethod
    def _threads(self) -> tuple[int, int]:
        """(threads of a block, blocks)."""

    @abstractmethod
    def _body(self) -> list[str]:
        """The lines of the kernel."""

    def kernel(self) -> Kernel:
        """The kernel of the run."""
        return Kernel(
            self.kind,
            tuple(map(self._parameter, range(len(self.arrays)))),
            tuple(self._body()),
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
        lines = [] if node.op == "store" else [self.computed(node)]
        if node.op == "store" or (write and node in self.kept):
            lines.append(self._write(node, leader, guarded))
        return lines

    def _write(self, node: Traced, leader: str, guarded: bool = True) -> str:
        guard = self._guard(node, leader) if guarded else ""
        line = self.assigned(node)
        return f"if ({guard}) {line}" if guard else line

    def _guard(self, node: Traced, leader: str) -> str:
        """The condition under which a thread is the one that writes its element."""
        place = self.place[self.result(node)]
        line = node in self.lines
        still = [
            f"{axis.name} == 0"
            for axis, step in zip(self.axes, self.strides[place], strict=True)
            if step == 0 and not (line and axis.label == INNER)
        ]
        return " && ".join([leader, *still] if leader else still)

    def element(self, place: int) -> str:
        """The element of an argument at a thread's coordinates."""
        steps, item = self.strides[place], self.arrays[place].dtype.itemsize
        terms = [
            axis.name if step == item else f"{axis.name} * {step // item}"
            for axis, step in zip(self.axes, steps, strict=True)
            if step
        ]
        return f"a{place}[{' + '.join(terms) or '0'}]"


def by_columns(frame: tuple[int, ...], reduced: tuple[int, ...]) -> bool:
    """Whether lines are neighbouring columns: the batch is summed over."""
    return reduced == (len(frame) - 2,) and frame[-1] > 1
