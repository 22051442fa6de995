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
from xpnet.backend.arrays import address
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.expressions import C_NAMES, expression, literal
from xpnet.compiler.loop_nest import LoopNest
from xpnet.trace import Traced

LITERALS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # other numbers are arguments


class Loop(LoopNest):
    """The text of one loop nest, and the call of it.

    Args:
        run: the nodes, in order; each elementwise over `shape`, or a max of such a
            value over its last axis.
        shape: of the loop nest.
        array, kept, dtypes: see `LoopNest`.
        members: networks along the first axis of the arrays; None for one alone.
    """

    def __init__(
        self,
        run: list[Traced],
        shape: tuple[int, ...],
        array: Callable[[Traced], Array],
        kept: set[Traced],
        dtypes: Callable[[Traced], list[np.dtype[Any]]],
        members: int | None,
    ) -> None:
        super().__init__(run, array, kept, dtypes)
        self.shape = shape or (1,)
        self.reduces = any(node.op == "max" for node in run)
        whole_line = self.reduces and len(shape) == 1  # of all networks
        self.split = members is not None and shape[:1] == (members,) and not whole_line
        self.arrays: list[Array] = []
        self._strides: list[tuple[int, ...]] = []
        self._known: dict[Traced, int] = {}
        self._places: dict[tuple[Any, ...], int] = {}
        self._numbers: dict[tuple[str, bytes], int] = {}
        self.written: set[int] = set()
        self._collect()
        self.axes = self._axes()
        self.body = self._body()

    # What the loop reads and writes.

    def _collect(self) -> None:
        for node in self.run:
            for value, kind in zip(node.args, self.dtypes(node), strict=True):
                if node.op == "store" and value is node.args[0]:
                    continue
                if not isinstance(value, Traced):
                    self._number(value, kind)
                elif value not in self.inside:
                    self._of(value)
            if node.op == "store":
                self.written.add(self._of(node.args[0]))
            elif node in self.kept:
                self.written.add(self._of(node))

    def _of(self, node: Traced) -> int:
        """The number of the argument that passes what holds `node`."""
        if node not in self._known:
            self._known[node] = self._place(self.array(node))
        return self._known[node]

    def _place(self, array: Array) -> int:
        """The number of the argument that passes `array`."""
        pad = len(self.shape) - array.ndim
        strides = (0,) * pad + tuple(
            0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True)
        )
        key = (address(array), array.dtype, strides)
        if key not in self._places:
            self._places[key] = len(self.arrays)
            self.arrays.append(array)
            self._strides.append(strides)
        return self._places[key]

    def _number(self, value: Any, kind: np.dtype[Any]) -> int | None:
        """The argument that passes a number of Python's; None for one in the text."""
        if kind.kind != "f" or value in LITERALS:
            return None
        array = np.array(value, kind)
        key = kind.str, array.tobytes()  # whose address would not tell it from others
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(array)
            self._strides.append((0,) * len(self.shape))
        return self._numbers[key]

    def _axes(self) -> list[tuple[int, list[int]]]:
        """(count, stride of each array) of the loops, outermost first; few and long."""
        found: list[tuple[int, list[int]]] = []
        for axis, count in enumerate(self.shape):
            strides = [s[axis] for s in self._strides]
            first = axis == 0 and self.split
            line = self.reduces and axis == len(self.shape) - 1
            if count == 1 and not first and not line:
                continue
            joins = len(found) > self.split and not line
            if joins and all(
                a == b * count for a, b in zip(found[-1][1], strides, strict=True)
            ):
                found[-1] = (found[-1][0] * count, strides)
            else:
                found.append((count, strides))
        if len(found) == self.split:  # one of them is the innermost
            found.append((1, [0] * len(self.arrays)))
        return found

    # Text.

    def _body(self) -> str:
        depth = len(self.axes)
        lines = ["(char **p, const int64_t *n, const int64_t *s, void *data)", "{"]
        pad = "    "
        # Read once: for all that C knows, a result might be written over a count.
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
        lines = []
        for j, array in enumerate(self.arrays):
            moves = [
                f" + i{k} * s[{k * len(self.arrays) + j}]"
                for k in range(depth - 1)
                if self.axes[k][1][j]
            ]
            kind = C_NAMES[array.dtype]
            inner = self.axes[-1][1][j]
            at = f"(p[{j}]{''.join(moves)})"
            const = "" if j in self.written else "const "
            if inner == 0 and j not in self.written:
                lines.append(f"const {kind} c{j} = *(const {kind} *){at};")
            elif inner in (0, array.itemsize):
                lines.append(f"{const}{kind} *q{j} = ({const}{kind} *){at};")
            else:
                lines.append(f"{const}char *q{j} = {at};")
                lines.append(
                    f"const int64_t d{j} = s[{(depth - 1) * len(self.arrays) + j}];"
                )
        return lines

    def _element(self, j: int) -> str:
        array, inner = self.arrays[j], self.axes[-1][1][j]
        if inner == 0:
            return f"*q{j}" if j in self.written else f"c{j}"
        if inner == array.itemsize:
            return f"q{j}[i]"
        const = "" if j in self.written else "const "
        return f"*({const}{C_NAMES[array.dtype]} *)(q{j} + i * d{j})"

    def _operand(self, value: Any, dtype: np.dtype[Any]) -> str:
        if not isinstance(value, Traced):
            place = self._number(value, dtype)
            return literal(value, dtype) if place is None else self._element(place)
        if value in self.inside:
            text = self.names[value]
        else:
            text = self._element(self._of(value))
        return text if value.dtype == dtype else f"(({C_NAMES[dtype]}){text})"

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
            lines += [f"{kind} {name} = {_lowest(n.dtype)};", f"int nan{name} = 0;"]
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
                place = self._of(node)
                lines.append(f"*q{place} = {name};")
        return lines

    def _line(self, node: Traced, stage: int) -> list[str]:
        name = self.names[node]
        if node.op == "max":
            if self.stage[node] != stage:
                return []
            kind = C_NAMES[node.dtype]
            return [
                f"const {kind} v{name} = {self._operand(node.args[0], node.dtype)};",
                f"{name} = v{name} > {name} ? v{name} : {name};",
                f"nan{name} |= v{name} != v{name};",  # which compares with nothing
            ]
        if node.op == "store":
            target, value = node.args
            place = self._element(self._of(target))
            return [f"{place} = {self._operand(value, target.dtype)};"]
        kinds = self.dtypes(node)
        args = [self._operand(a, k) for a, k in zip(node.args, kinds, strict=True)]
        # A truth value is an int here: bytes beside floats make poor vectors.
        kind = "int" if node.dtype == np.bool_ else C_NAMES[node.dtype]
        lines = [f"const {kind} {name} = {expression(node, args, kinds)};"]
        if node in self.kept and self.stage[node] == stage:
            lines.append(f"{self._element(self._of(node))} = {name};")
        return lines

    def op(self, name: str) -> NativeCall:
        """The call of the loop, compiled as `name`."""
        counts = [count for count, _ in self.axes]
        strides = [s for _, row in self.axes for s in row]
        return NativeCall(
            name,
            list(self.arrays),
            counts,
            strides,
            unit=int(self.split),
            member=list(self.axes[0][1]) if self.split else [],
            written=tuple(sorted(self.written)),
            reduces=self.reduces,
        )


def _lowest(dtype: np.dtype[Any]) -> str:
    return literal(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min, dtype)
