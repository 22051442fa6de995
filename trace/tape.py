"""The record itself: nodes in the order in which Python met them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from xpnet.backend import Array, Shape
from xpnet.trace.array import Op, Traced, refuse
from xpnet.trace.per_network import PerNetwork


class Tape:
    """The nodes of one program in the order in which Python met them."""

    def __init__(self) -> None:
        self.nodes: list[Traced] = []
        self.stores: list[Traced] = []
        self.segment = ""
        self.first: str | None = None  # the segment that all others may build on
        self._leaves: dict[int, Traced] = {}
        self._seen: dict[tuple[Any, ...], Traced] = {}
        self._versions: dict[int, int] = {}

    @contextmanager
    def released(self) -> Iterator[None]:
        """Behind the block it holds no arrays: what is compiled within has its own."""
        try:
            yield
        finally:
            for node in self.nodes:
                node.array = node.memory = None

    def leaf(self, array: Array) -> Traced:
        """The node that reads (and may write) `array` itself."""
        if id(array) not in self._leaves:
            node = Traced(self, "leaf", (), array.shape, array.dtype, array=array)
            self._leaves[id(array)] = node
        return self._leaves[id(array)]

    def node(
        self,
        op: Op,
        args: tuple[Any, ...],
        shape: Shape,
        dtype: np.dtype[Any],
        options: tuple[Any, ...] = (),
    ) -> Traced:
        """`op(*args)`: a new node, or the one that computed just this before."""
        versions = self._versions
        version = [
            (id(a), versions.get(id(a.root), 0)) if isinstance(a, Traced) else repr(a)
            for a in args  # 1, 1.0 and True are equal, and so are 0.0 and -0.0
        ]
        if self.first is None:
            self.first = self.segment
        key = (op, *version, repr(options) if options else "", shape, dtype)
        # Later segments may run in another order: they share with the first alone.
        known = self._seen.get((self.segment, *key))
        if known is None and self.first != self.segment:
            known = self._seen.get((self.first, *key))
        if known is not None:
            return known
        node = Traced(self, op, args, shape, dtype, options)
        self._seen[self.segment, *key] = node
        return node

    def lift(self, value: Any, beside: Sequence[Any] = ()) -> Any:
        """`value` as an argument: a Traced array, or a Python number left as it is.

        Numbers of a stack's networks take the dtype of the first array `beside` them.
        """
        if isinstance(value, PerNetwork):
            like = next(a.dtype for a in beside if isinstance(a, Traced))
            return self.leaf(value.array(like))
        if isinstance(value, np.generic):
            return value.item()  # a number of a formula is weak, whatever its type
        if isinstance(value, Traced | bool | int | float):
            return value
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return self.leaf(value)
        refuse(f"a {type(value).__name__}")

    def apply(self, op: np.ufunc, *args: Any) -> Traced:
        """One elementwise operation, or a matrix product."""
        operands = tuple([self.lift(a, args) for a in args])
        if op is np.matmul:
            return self._matmul(*operands)
        if op.signature is not None or op.nout != 1:
            refuse(f"np.{op.__name__}")
        *kinds, dtype = dtypes_of(op, operands)
        shape = broadcast(*[getattr(a, "shape", ()) for a in operands])
        node = self.node(op, operands, shape, dtype)
        node.kinds = kinds
        return node

    def _matmul(self, a: Traced, b: Traced) -> Traced:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul of shapes {a.shape} and {b.shape}")
        lead = broadcast(a.shape[:-2], b.shape[:-2])
        shape = (*lead, a.shape[-2], b.shape[-1])
        if a.shape[-1] == 1:  # a column times a row: nothing to sum, and joins a loop
            return self.apply(np.multiply, a, b)
        return self.node("matmul", (a, b), shape, np.result_type(a.dtype, b.dtype))

    def reduce(self, op: str, x: Traced, axis: Any, keepdims: bool) -> Traced:
        """Sum or max over one axis, several, or (None) all."""
        if axis is None:
            axis = tuple(range(x.ndim))
        axes = tuple(sorted(x.axes(axis if isinstance(axis, tuple) else (axis,))))
        dtype = x.dtype
        if op == "sum" and dtype.kind in "biu":
            dtype = np.add.reduce(np.empty(0, dtype)).dtype
        shape = tuple(
            1 if i in axes else n
            for i, n in enumerate(x.shape)
            if keepdims or i not in axes
        )
        return self.node(op, (x,), shape, dtype, (axes, bool(keepdims)))

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """One of the NumPy functions that are not ufuncs."""
        if function not in FUNCTIONS:
            refuse(f"np.{function.__name__}")
        return FUNCTIONS[function](self, *args, **kwargs)

    def store(self, target: Traced, value: Any) -> None:
        """`target[...] = value`, for a leaf or a view of one."""
        if target.root.op != "leaf":
            refuse("writing into a computed array")
        value = self.lift(value, (target,))
        shape = getattr(value, "shape", ())
        if broadcast(target.shape, shape) != target.shape:
            raise ValueError(f"{shape} does not fit into {target.shape}")
        node = Traced(self, "store", (target, value), target.shape, target.dtype)
        self.stores.append(node)
        for leaf in self._leaves.values():
            if leaf.memory is target.memory:
                self._versions[id(leaf)] = self._versions.get(id(leaf), 0) + 1


def broadcast(*shapes: Shape) -> Shape:
    """The shape that they are broadcast to."""
    if len(set(shapes)) == 1:
        return shapes[0]
    return np.broadcast_shapes(*shapes)


def dtypes_of(op: np.ufunc, operands: tuple[Any, ...]) -> list[np.dtype[Any]]:
    """The dtypes in which `operands` enter `op`, and that of its result, the last.

    Python numbers are weak, as in NumPy 2.
    """
    kinds: list[Any] = [a.dtype if isinstance(a, Traced) else type(a) for a in operands]
    return list(_resolved(op, *kinds))


@lru_cache(1024)
def _resolved(op: np.ufunc, *kinds: Any) -> tuple[np.dtype[Any], ...]:
    known = (np.dtype(bool) if kind is bool else kind for kind in kinds)
    found: tuple[np.dtype[Any], ...] = op.resolve_dtypes((*known, None))
    return found


def _where(tape: Tape, condition: Any, a: Any, b: Any) -> Traced:
    if condition.dtype != np.bool_:
        condition = condition != 0
    operands = tuple(tape.lift(x, (a, b, condition)) for x in (condition, a, b))
    dtype = dtypes_of(np.add, operands[1:])[-1]
    shape = broadcast(*(getattr(x, "shape", ()) for x in operands))
    return tape.node("where", operands, shape, dtype)


def _clip(tape: Tape, a: Any, a_min: Any, a_max: Any) -> Traced:
    return tape.apply(np.minimum, tape.apply(np.maximum, a, a_min), a_max)


def _expand(tape: Tape, x: Traced, axis: int) -> Traced:
    shape: Sequence[int] = x.shape
    at = axis % (len(shape) + 1)
    return x.reshape((*shape[:at], 1, *shape[at:]))


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.expand_dims: _expand,
    np.sum: lambda tape, x, *a, **k: x.sum(*a, **k),
    np.max: lambda tape, x, *a, **k: x.max(*a, **k),
    np.mean: lambda tape, x, *a, **k: x.mean(*a, **k),
    np.swapaxes: lambda tape, x, a, b: x.swapaxes(a, b),
    np.reshape: lambda tape, x, shape: x.reshape(shape),
    np.copy: lambda tape, x: x.copy(),
}
