"""Arrays that remember how they were made: the record of one training step.

A `Traced` array stands where a NumPy or CuPy array would: layers, losses and update
rules compute with it in ordinary Python (`x @ self.W + self.b`), and instead of
numbers every operation leaves one node on the tape (`tape.py`), which `compile.py`
turns into calls on fixed buffers.

A *leaf* is an array that outlives the step (parameters, gradients, the batch): it is
read by reference and may be written with `leaf[...] = value`. Everything else is a
value, written once. The same operation on the same arguments is one node, so what the
forward pass has computed the backward pass does not compute again.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import numpy as np

from xpnet.backend import Array, Shape
from xpnet.trace.operators import give_operators, wraps

Op = np.ufunc | str

VIEWS = ("reshape", "transpose", "index")


class TraceError(TypeError):
    """An operation that a recorded step cannot contain."""


def refuse(what: str) -> NoReturn:
    """Raise the TraceError that names `what` and the way out."""
    raise TraceError(
        f"{what} cannot be part of a recorded step: a layer may branch on shapes, "
        "never on values; expected array operations (+ - * / @ **, comparisons, NumPy "
        "ufuncs, where, sum, max, mean, reshape, swapaxes, slices); to step through "
        "plain arrays use Trainer(..., eager=True)"
    )


class Recorder(Protocol):
    """The record that a traced array adds its operations to; implemented by `Tape`."""

    nodes: "list[Traced]"
    segment: str

    def node(
        self,
        op: Op,
        args: tuple[Any, ...],
        shape: Shape,
        dtype: Any,
        options: tuple[Any, ...] = (),
    ) -> "Traced":
        """The node of an operation; the one that is there if it has been recorded."""

    def apply(self, op: np.ufunc, *args: Any) -> "Traced":
        """A ufunc, elementwise or a product."""

    def reduce(self, op: str, x: "Traced", axis: Any, keepdims: bool) -> "Traced":
        """Sum or maximum over axes."""

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A NumPy function that is no ufunc."""

    def store(self, target: "Traced", value: Any) -> None:
        """Write `value` into a leaf or a view of one."""


class Traced:
    """One node of a tape: `op` applied to `args`, or a leaf that holds an array.

    Attributes:
        root: the node that has the memory: this one itself, unless it is a view.
        memory: what owns that memory: the array under a leaf, or a value itself.
        kinds: the dtypes in which the arguments of a ufunc enter it; else None.
        joins: the result of `can_join`; None before its first call.
    """

    __slots__ = (
        "args",
        "array",
        "dtype",
        "joins",
        "kinds",
        "memory",
        "op",
        "options",
        "root",
        "segment",
        "shape",
        "tape",
    )

    def __init__(
        self,
        tape: "Recorder",
        op: Op,
        args: tuple[Any, ...],
        shape: Shape,
        dtype: np.dtype[Any],
        options: tuple[Any, ...] = (),
        array: Array = None,
    ) -> None:
        self.tape, self.op, self.args, self.options = tape, op, args, options
        self.shape, self.dtype, self.array = shape, dtype, array
        self.segment = tape.segment
        self.kinds: list[np.dtype[Any]] | None = None
        self.joins: bool | None = None
        if op in VIEWS:
            self.root: Traced = args[0].root
            self.memory: Any = self.root.memory
        else:
            self.root = self
            self.memory = self if array is None else base(array)
        tape.nodes.append(self)

    # What an array has.
    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: self._transpose(tuple(range(self.ndim))[::-1]))

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "Traced":
        """Σ over `axis`."""
        return self.tape.reduce("sum", self, axis, keepdims)

    def batch_sum(self) -> "Traced":
        """Σ over the batch, axis -2, which stays as 1."""
        return self._product_sum(-2)

    def feature_sum(self) -> "Traced":
        """Σ over the features, axis -1, which stays as 1."""
        return self._product_sum(-1)

    def _product_sum(self, axis: int) -> "Traced":
        shape = list(self.shape)
        shape[axis] = 1
        return self.tape.node("product_sum", (self,), tuple(shape), self.dtype, (axis,))

    def max(self, axis: Any = None, keepdims: bool = False) -> "Traced":
        """Largest along `axis`."""
        return self.tape.reduce("max", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "Traced":
        """Σ over `axis` divided by the count."""
        total = self.sum(axis, keepdims)
        return self.tape.apply(np.divide, total, self.size // max(total.size, 1))

    def astype(self, dtype: Any) -> "Traced":
        """The same numbers as `dtype`."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype and self.root.op != "leaf":
            return self  # a value is written once, a leaf may change
        return self.tape.node("cast", (self,), self.shape, dtype)

    def reshape(self, *shape: Any) -> "Traced":
        """The same elements under another shape."""
        wanted = (
            shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        )
        new = tuple(np.empty(self.shape, bool).reshape(wanted).shape)
        whole = self if _reshapes_as_view(self, new) else self.copy()
        return self.tape.node("reshape", (whole,), new, self.dtype, (new,))

    def swapaxes(self, a: int, b: int) -> "Traced":
        """A view with axes `a` and `b` exchanged."""
        order = list(range(self.ndim))
        a, b = self.axes((a, b))
        order[a], order[b] = order[b], order[a]
        return self._transpose(tuple(order))

    def _transpose(self, order: tuple[int, ...]) -> "Traced":
        shape = tuple(self.shape[i] for i in order)
        return self.tape.node("transpose", (self,), shape, self.dtype, order)

    def axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Axes counted from the front; raises ValueError for one that is not there."""
        for axis in axes:
            if not -self.ndim <= axis < self.ndim:
                raise ValueError(f"axis {axis} of an array of shape {self.shape}")
        return tuple(axis % self.ndim for axis in axes)

    def clip(self, a_min: Any, a_max: Any) -> "Traced":
        """Limited to a_min..a_max."""
        return self.tape.call(np.clip, (self, a_min, a_max), {})  # type: ignore[no-any-return]

    def copy(self) -> "Traced":
        """A value of its own with the same numbers."""
        return self.tape.node("cast", (self,), self.shape, self.dtype, ("copy",))

    def __getitem__(self, key: Any) -> "Traced":
        keys = key if isinstance(key, tuple) else (key,)
        if not all(k is None or k is ... or isinstance(k, int | slice) for k in keys):
            refuse("indexing by an array")
        shape = np.broadcast_to(np.empty((), bool), self.shape)[key].shape
        flat = tuple(
            ("slice", k.start, k.stop, k.step) if isinstance(k, slice) else k
            for k in keys
        )
        return self.tape.node("index", (self,), shape, self.dtype, flat)

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self if key is ... or key == slice(None) else self[key]
        self.tape.store(target, value)

    def _inplace(self, other: Any, op: np.ufunc) -> "Traced":
        return self._assign(self.tape.apply(op, self, other))

    def _assign(self, value: "Traced") -> "Traced":
        """What `x op= y` leaves in x: a leaf is written, a value replaced."""
        if self.root.op != "leaf":
            return value
        self.tape.store(self, value)
        return self

    def __pow__(self, power: Any) -> "Traced":
        # The short cuts that NumPy's own arrays take, so that eager mode agrees.
        quick = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
        if isinstance(power, int | float) and power in quick:
            return self.tape.apply(quick[power], self)
        return self.tape.apply(np.power, self, power)

    def __rpow__(self, number: Any) -> "Traced":
        return self.tape.apply(np.power, number, self)

    def __ipow__(self, power: Any) -> "Traced":
        return self._assign(self**power)

    def __pos__(self) -> "Traced":
        return self.tape.apply(np.positive, self)

    # What an array is not, while a step is being recorded.
    def __bool__(self) -> bool:
        refuse("a decision on an array's values (if, and, or, bool)")

    def __float__(self) -> float:
        refuse("reading an array as a Python number (float, int, math.*)")

    __int__ = __index__ = __complex__ = __float__

    def __iter__(self) -> Any:
        refuse("a loop over an array's rows")

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        refuse("conversion to a NumPy array")

    def __repr__(self) -> str:
        name = self.op if isinstance(self.op, str) else self.op.__name__
        return f"<traced {name} {self.shape} {self.dtype}>"

    __hash__ = object.__hash__

    # Where NumPy's functions arrive.
    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any
    ) -> Any:
        if method == "reduce" and ufunc in (np.add, np.maximum):
            name = "sum" if ufunc is np.add else "max"
            axis = kwargs.get("axis", 0)
            return self.tape.reduce(name, args[0], axis, kwargs.get("keepdims", False))
        if any(map(wraps, args)):
            return NotImplemented
        if method != "__call__" or kwargs:
            refuse(f"np.{ufunc.__name__} with {', '.join(kwargs) or method}")
        return self.tape.apply(ufunc, *args)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        if any(map(wraps, args)):
            return NotImplemented
        return self.tape.call(function, args, kwargs)


def base(array: Array) -> Array:
    """The array that owns the memory of `array`."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def view(array: Array, node: Traced) -> Array:
    """The view of `array` that `node`, an operation of VIEWS, stands for."""
    if node.op == "reshape":
        return array.reshape(node.options[0])
    if node.op == "transpose":
        return array.transpose(node.options)
    key = tuple(slice(*k[1:]) if isinstance(k, tuple) else k for k in node.options)
    return array[key]


def _reshapes_as_view(node: Traced, shape: Shape) -> bool:
    """Whether NumPy's reshape of this array is a view rather than a copy."""
    if node.root.op != "leaf":
        return node.op not in VIEWS or node.op == "reshape"
    # Follow the views on an array of the leaf's strides that takes no memory.
    leaf = node.root.array
    chain, step = [], node
    while step is not node.root:
        chain.append(step)
        step = step.args[0]
    shown = np.lib.stride_tricks.as_strided(
        np.empty(1, node.dtype), leaf.shape, leaf.strides
    )
    for step in reversed(chain):
        shown = view(shown, step)
    try:
        np.reshape(shown, shape, copy=False)
    except ValueError:
        return False
    return True


give_operators(Traced)
