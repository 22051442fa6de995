"""The text of a kernel's elements: where they lie, how they are computed."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler.cuda.kernel import Kernel
from xpnet.compiler.cuda.operands import INNER, Operands
from xpnet.compiler.expressions import C_NAMES, expression, literal
from xpnet.trace import Traced


class Writer(Operands):
    """The text of one kernel.

    Attributes:
        kind: "flat", "row" or "column".
        block: threads of a block.
        blocks: how many there are.
        index: the C type of an index.
        in_memory: results of an earlier pass, which are read back.
    """

    kind = ""

    def __init__(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        dtypes: Callable[[Traced], list[np.dtype[Any]]],
    ) -> None:
        super().__init__(run, array, kept, dtypes)
        self.in_memory: set[Traced] = set()
        self.block, self.blocks = self._threads()
        reach = [
            sum(abs(s) * a.size for s, a in zip(steps, self.axes, strict=True))
            for steps in self.strides
        ]
        inner = self.count(INNER)
        largest = max(self.blocks * self.block, inner + self.block, *reach, 1)
        self.index = "int" if largest < 2**31 else "long long"

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
