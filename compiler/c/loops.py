"""Runs of elementwise operations as loops in C.

A run of the tape becomes one function, a loop nest over its shape with the run's
operations inside. Temporaries live in registers; a largest-in-row (`max` over the last
axis) is one pass over the row before the pass that uses it. The text says which axes
an operand is constant along and whether its last one is contiguous; sizes and strides
are arguments, so that batches of other sizes, and stacks of other numbers of networks,
share a library.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler.analysis import frame
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.expressions import C_NAMES, lowest
from xpnet.compiler.loop_nest import Axis, LoopNest
from xpnet.trace import Traced

LITERALS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # other numbers are arguments
NETWORKS, LINE = "networks", "line"


class Loop(LoopNest):
    """The text of one loop nest, and the call of it.

    Args:
        run: the nodes, in order; each elementwise over one shape, or a max of such a
            value over its last axis.
        array, kept: see `LoopNest`.
        n_networks: along the first axis of the arrays; None for one alone.
    """

    single = (NETWORKS, LINE)
    # A truth value is an int here: bytes beside floats make poor vectors.
    types = C_NAMES | {np.dtype(np.bool_): "int"}

    def __init__(
        self,
        run: list[Traced],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        n_networks: int | None,
    ) -> None:
        shape = frame(run[0])
        self.reduces = any(node.op == "max" for node in run)
        whole_line = self.reduces and len(shape) == 1  # of all networks
        self.split = (
            n_networks is not None and shape[:1] == (n_networks,) and not whole_line
        )
        super().__init__(run, shape or (1,), array, kept)
        if len(self.axes) == self.split:  # one of them is the innermost
            self.axes.append(Axis(1, ""))
            self.strides = [(*row, 0) for row in self.strides]
        self.body = self._body()

    def label(self, axis: int) -> str:
        """Networks and lines stay as they are."""
        if self.reduces and axis == len(self.frame) - 1:
            return LINE
        return NETWORKS if self.split and axis == 0 else ""

    def number(self, value: Any, dtype: np.dtype[Any]) -> int | None:
        """The argument that passes a number; None for one in the text."""
        if dtype.kind != "f" or value in LITERALS:
            return None
        array = np.array(value, dtype)
        key = (
            dtype.str,
            array.tobytes(),
        )  # equal numbers are one argument
        return self.argument(key, array, (0,) * len(self.frame))

    # Text.

    def _body(self) -> str:
        depth = len(self.axes)
        lines = ["(char **p, const int64_t *n, const int64_t *s, void *data)", "{"]
        pad = "    "
        # Read once: otherwise C must assume that a result may overwrite a count.
        counts = ", ".join(f"n{k} = n[{k}]" for k in range(depth))
        lines.append(f"{pad}const int64_t {counts};")
        for k in range(depth - 1):
            lines.append(f"{pad}for (int64_t i{k} = 0; i{k} < n{k}; i{k}++) {{")
            pad += "    "
        lines += [pad + line for line in self._pointers(depth)]
        last = max(self.stage.values())
        for stage in range(last + 1):
            lines += [pad + line for line in self._pass(stage)]
        for k in range(depth - 1, 0, -1):
            lines.append("    " * k + "}")
        return "\n".join([*lines, "}", ""])

    def _pointers(self, depth: int) -> list[str]:
        lines, count = [], len(self.arrays)
        for j, (array, strides) in enumerate(
            zip(self.arrays, self.strides, strict=True)
        ):
            moves = [
                f" + i{k} * s[{k * count + j}]" for k in range(depth - 1) if strides[k]
            ]
            kind, at = C_NAMES[array.dtype], f"(p[{j}]{''.join(moves)})"
            const = "" if j in self.written else "const "
            if strides[-1] == 0 and j not in self.written:
                lines.append(f"const {kind} c{j} = *(const {kind} *){at};")
            elif strides[-1] in (0, array.itemsize):
                lines.append(f"{const}{kind} *q{j} = ({const}{kind} *){at};")
            else:
                lines.append(f"{const}char *q{j} = {at};")
                lines.append(f"const int64_t d{j} = s[{(depth - 1) * count + j}];")
        return lines

    def element(self, place: int) -> str:
        """The element of an argument at the indices of the loops."""
        array, inner = self.arrays[place], self.strides[place][-1]
        if inner == 0:
            return f"*q{place}" if place in self.written else f"c{place}"
        if inner == array.itemsize:
            return f"q{place}[i]"
        const = "" if place in self.written else "const "
        return f"*({const}{C_NAMES[array.dtype]} *)(q{place} + i * d{place})"

    def _pass(self, stage: int) -> list[str]:
        """One loop over the last axis: what is stored or found in this pass."""
        wanted = [
            n
            for n in self.run
            if self.stage[n] == stage and (n.op in ("max", "store") or n in self.kept)
        ]
        largest = [n for n in wanted if n.op == "max"]
        lines = []
        for n in largest:
            kind, name = C_NAMES[n.dtype], self.names[n]
            lines += [f"{kind} {name} = {lowest(n.dtype)};", f"int nan{name} = 0;"]
        lines += [] if largest else ["APART"]
        lines.append(f"for (int64_t i = 0; i < n{len(self.axes) - 1}; i++) {{")
        for node in self.needed(wanted, {n for n in self.run if n.op == "max"}):
            lines += ["    " + line for line in self._line(node, stage)]
        lines.append("}")
        for node in largest:
            name = self.names[node]
            if node.dtype.kind == "f":
                lines.append(f"{name} = nan{name} ? NAN : {name};")
            if node in self.kept:
                lines.append(f"*q{self.place[node]} = {name};")
        return lines

    def _line(self, node: Traced, stage: int) -> list[str]:
        name = self.names[node]
        if node.op == "max":
            if self.stage[node] != stage:
                return []
            kind = C_NAMES[node.dtype]
            return [
                f"const {kind} v{name} = {self.operand(node.args[0], node.dtype)};",
                f"{name} = v{name} > {name} ? v{name} : {name};",
                f"nan{name} |= v{name} != v{name};",  # which compares with nothing
            ]
        lines = [] if node.op == "store" else [self.computed(node)]
        if node.op == "store" or (node in self.kept and self.stage[node] == stage):
            lines.append(self.assigned(node))
        return lines

    def op(self, name: str) -> NativeCall:
        """The call of the loop, compiled as `name`."""
        strides = [row[k] for k in range(len(self.axes)) for row in self.strides]
        return NativeCall(
            name,
            list(self.arrays),
            [axis.size for axis in self.axes],
            strides,
            unit=int(self.split),
            member=strides[: len(self.arrays)] if self.split else [],
            written=tuple(sorted(self.written)),
            reduces=self.reduces,
        )
