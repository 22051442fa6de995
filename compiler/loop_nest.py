"""What loops of C and kernels of CUDA have in common: a run of nodes as a loop nest.

A run is computed in one or more passes over its elements. A reduction (largest, sum) is
a number of each line once its own pass has ended; what depends on it comes in a later
pass, which computes anew, rather than keeps, what it needs of the passes before.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.backend import Array, Shape
from xpnet.backend.arrays import address
from xpnet.compiler.analysis import argument_dtypes
from xpnet.compiler.expressions import C_NAMES, expression, literal
from xpnet.trace import Traced

REDUCTIONS = ("max", "sum", "product_sum")


def reduced_axes(node: Traced) -> tuple[int, ...]:
    """The axes, from the front, that a reduction sums or searches."""
    ndim = node.args[0].ndim
    if node.op == "product_sum":
        return (node.options[0] % ndim,)
    axes: tuple[int, ...] = node.options[0]
    return axes


def kept_shape(node: Traced) -> Shape:
    """The shape of a node with the axes of a reduction left in it as 1."""
    if node.op not in REDUCTIONS:
        return node.shape
    axes, shape = reduced_axes(node), node.args[0].shape
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def padded(shape: Shape, ndim: int) -> Shape:
    """`shape` with axes of 1 in front."""
    return (1,) * (ndim - len(shape)) + tuple(shape)


def frame_of(run: list[Traced]) -> Shape:
    """The shape that a kernel of `run` goes over."""
    shapes = [n.args[0].shape if n.op in REDUCTIONS else n.shape for n in run]
    return np.broadcast_shapes(*shapes)


def run_axes(run: list[Traced]) -> tuple[int, ...]:
    """The axes that the reductions of `run` share."""
    return next((reduced_axes(n) for n in run if n.op in REDUCTIONS), ())


def tail_of(run: list[Traced]) -> set[Traced]:
    """Nodes smaller than the frame that nothing but the end of the kernel needs.

    One thread computes each of their elements, after the last pass and in order. So
    they may read what they write. Where there are lines, they are one number a line.
    """
    frame, axes = frame_of(run), run_axes(run)
    tail: set[Traced] = set()
    for node in reversed(run):
        shape = padded(node.shape, len(frame))
        if node.op in REDUCTIONS or any(shape[i] != 1 for i in axes):
            continue
        if shape == frame and not axes:
            continue
        users = [n for n in run if any(a is node for a in n.args)]
        if all(n in tail and n.shape == node.shape for n in users):
            tail.add(node)
    return tail


@dataclass
class Axis:
    """One axis of the frame, or neighbouring ones as one."""

    size: int
    label: str
    name: str = ""


class LoopNest(ABC):
    """A run of nodes that becomes one loop nest, or one kernel.

    A subclass is a dialect: it says how the axes are labelled, and writes the text.

    Args:
        run: the nodes, in order.
        frame: the shape that the nest goes over.
        array: the memory of an operand or of a result that is kept.
        kept: results that must be in memory afterwards.

    Attributes:
        inside: the nodes of the run that have a value.
        names: of the variables that hold them.
        stage: how many passes come before each node's own.
        in_memory: results of an earlier pass, which are read back.
        arrays: the arguments.
        strides: of each argument in bytes, along the axes.
        place: the argument that holds an operand, or a result that is kept.
        written: the arguments that are written.
        axes: of the frame, neighbours taken as one where every argument allows it.
    """

    single: tuple[str, ...] = ()  # labels of axes that stay as they are
    types = C_NAMES  # of variables

    def __init__(
        self,
        run: list[Traced],
        frame: Shape,
        array: Callable[[Traced], Array],
        kept: set[Traced],
    ) -> None:
        self.run, self.frame, self.array, self.kept = run, frame, array, kept
        self.inside = {n for n in run if n.op != "store"}
        self.in_memory: set[Traced] = set()
        self.names = {n: f"t{i}" for i, n in enumerate(run)}
        self.stage = self._stages()
        self.arrays: list[Array] = []
        self.strides: list[tuple[int, ...]] = []
        self.place: dict[Traced, int] = {}
        self.written: set[int] = set()
        self._known: dict[Hashable, int] = {}
        self._collect()
        self.axes = self._merged()

    # Passes.

    def _stages(self) -> dict[Traced, int]:
        stage: dict[Traced, int] = {}
        for node in self.run:
            before = [
                stage[a] + (a.op in REDUCTIONS) for a in node.args if a in self.inside
            ]
            stage[node] = max(before, default=0)
        return stage

    def needed(self, wanted: list[Traced], known: set[Traced]) -> list[Traced]:
        """`wanted` and what they are computed from, in order, up to what is `known`."""
        found: set[Traced] = set()
        asked = set(wanted)
        waiting = list(wanted)
        while waiting:
            node = waiting.pop()
            if node not in found and (node in asked or node not in known):
                found.add(node)
                waiting += [a for a in node.args if a in self.inside]
        return [n for n in self.run if n in found]

    # Arguments.

    def _collect(self) -> None:
        for node in self.run:
            for value, kind in zip(node.args, argument_dtypes(node), strict=True):
                if node.op == "store" and value is node.args[0]:
                    continue
                if not isinstance(value, Traced):
                    self.number(value, kind)
                elif value not in self.inside:
                    self._add(value)
            if node.op == "store" or node in self.kept:
                self.written.add(self._add(self.result(node)))

    def _add(self, node: Traced) -> int:
        """The argument that holds `node`."""
        if node not in self.place:
            array = self.array(node)
            shape, strides = node.shape, list(array.strides)
            if node in self.inside:
                shape = kept_shape(node)
                for axis in reduced_axes(node) if len(shape) > len(strides) else ():
                    strides.insert(axis, 0)
            own = [0 if n == 1 else s for n, s in zip(shape, strides, strict=True)]
            along = (0,) * (len(self.frame) - len(own)) + tuple(own)
            key = address(array), array.dtype, along
            self.place[node] = self.argument(key, array, along)
        return self.place[node]

    def argument(self, key: Hashable, array: Array, strides: tuple[int, ...]) -> int:
        """The argument that passes `array`; equal keys are one argument."""
        if key not in self._known:
            self._known[key] = len(self.arrays)
            self.arrays.append(array)
            self.strides.append(strides)
        return self._known[key]

    def number(self, value: Any, dtype: np.dtype[Any]) -> int | None:
        """The argument that passes a number; None for one in the text."""
        return None

    @abstractmethod
    def label(self, axis: int) -> str:
        """Neighbouring axes of one label may be taken as one."""

    def _merged(self) -> list[Axis]:
        axes: list[Axis] = []
        steps: list[list[int]] = []  # of all arguments, axis by axis
        for i, n in enumerate(self.frame):
            label, here = self.label(i), [s[i] for s in self.strides]
            if n == 1 and label not in self.single:
                continue
            joins = axes and axes[-1].label == label
            if joins and steps[-1] == [step * n for step in here]:
                axes[-1].size *= n
                steps[-1] = here
            else:
                axes.append(Axis(n, label, f"c{len(axes)}"))
                steps.append(here)
        self.strides = [tuple(s[j] for s in steps) for j in range(len(self.arrays))]
        return axes

    # Text.

    @abstractmethod
    def element(self, place: int) -> str:
        """The element of an argument at the indices of the axes."""

    def operand(self, value: Any, dtype: np.dtype[Any]) -> str:
        """A node or a number, as a value of `dtype`."""
        if not isinstance(value, Traced):
            place = self.number(value, dtype)
            return literal(value, dtype) if place is None else self.element(place)
        inside = value in self.inside and value not in self.in_memory
        text = self.names[value] if inside else self.element(self.place[value])
        return text if value.dtype == dtype else f"(({C_NAMES[dtype]}){text})"

    def computed(self, node: Traced) -> str:
        """The line that computes the value of a node."""
        kinds = argument_dtypes(node)
        args = [self.operand(a, k) for a, k in zip(node.args, kinds, strict=True)]
        value = expression(node, args, kinds)
        return f"const {self.types[node.dtype]} {self.names[node]} = {value};"

    def assigned(self, node: Traced) -> str:
        """The line that writes a store, or a result that is kept, to memory."""
        name = self.names[node]
        if node.op == "store":
            target, value = node.args
            name = self.operand(value, target.dtype)
        return f"{self.element(self.place[self.result(node)])} = {name};"

    @staticmethod
    def result(node: Traced) -> Traced:
        """What shows the memory that a node writes."""
        target: Traced = node.args[0] if node.op == "store" else node
        return target
