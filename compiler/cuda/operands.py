"""The arrays of a kernel, and the axes that its threads go over."""

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
from xpnet.compiler.cuda.launch import address
from xpnet.compiler.loop_nest import REDUCTIONS, LoopNest
from xpnet.trace import Traced

OUTER, INNER, COLUMN = "outer", "inner", "column"


@dataclass
class Axis:
    """One axis of the frame, or neighbouring ones as one."""

    size: int
    label: str
    name: str = ""


class Operands(LoopNest):
    """The arrays of one kernel: each is a parameter, with strides along the axes.

    Attributes:
        frame: the shape that the kernel goes over.
        reduced: the axes that sums and maxima go over.
        tail: nodes that are computed at the end.
        lines: nodes that are one number a line rather than one an element.
        arrays, strides: of each parameter.
        place: the parameter that holds an operand, or a result that is kept.
        written: parameters that the kernel writes.
        axes: of the frame, neighbours taken as one where every array allows it.
    """

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
        self.tail = tail_of(run)
        self.lines = {n for n in run if self._is_line(n)}
        self.arrays: list[Array] = []
        self.strides: list[tuple[int, ...]] = []
        self.place: dict[Traced, int] = {}
        self.written: set[int] = set()
        self._collect()
        self.axes = self._merged()

    def _is_line(self, node: Traced) -> bool:
        """Whether `node` is one number a line rather than one an element."""
        if not self.reduced or node.op in REDUCTIONS:
            return bool(self.reduced)
        shape = padded(node.shape, len(self.frame))
        return all(shape[i] == 1 for i in self.reduced)

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

    def _merged(self) -> list[Axis]:
        """The frame's axes, neighbours taken as one where every array allows it."""
        axes: list[Axis] = []
        steps: list[list[int]] = []  # of all arrays, axis by axis
        for i, n in enumerate(self.frame):
            label = INNER if i in self.reduced else OUTER
            if by_columns(self.frame, self.reduced) and i == len(self.frame) - 1:
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
                axes.append(Axis(n, label, f"c{len(axes)}"))
                steps.append(here)
        self.strides = [tuple(s[j] for s in steps) for j in range(len(self.arrays))]
        return axes

    def count(self, label: str) -> int:
        """Elements along the axes of `label`."""
        return math.prod(a.size for a in self.axes if a.label == label)


def by_columns(frame: tuple[int, ...], reduced: tuple[int, ...]) -> bool:
    """Whether lines are neighbouring columns: the batch is summed over."""
    return reduced == (len(frame) - 2,) and frame[-1] > 1
