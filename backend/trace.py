"""Arrays that remember how they were made: the record of one training step.

A `Traced` array stands where a NumPy or CuPy array would: layers, losses and update
rules compute with it in ordinary Python (`x @ self.W + self.b`), and instead of
numbers every operation leaves one node on the `Tape`. `compile.py` turns the tape into
calls on fixed buffers.

A *leaf* is an array that outlives the step (parameters, gradients, the batch): it is
read by reference and may be written with `leaf[...] = value`. Everything else is a
value, written once. The same operation on the same arguments is one node, so what the
forward pass has computed the backward pass does not compute again.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

Array = Any  # a NumPy, CuPy or Traced array: what the equations are written over
Shape = tuple[int, ...]
Op = np.ufunc | str

VIEWS = ("reshape", "transpose", "index")


class TraceError(TypeError):
    """An operation that a recorded step cannot contain."""


def _refuse(what: str) -> NoReturn:
    raise TraceError(
        f"{what} cannot be part of a recorded step: a layer may branch on shapes, "
        "never on values; expected array operations (+ - * / @ **, comparisons, NumPy "
        "ufuncs, where, sum, max, mean, reshape, swapaxes, slices); to step through "
        "plain arrays use Trainer(..., eager=True)"
    )


class Traced:
    """One node of a tape: `op` applied to `args`, or a leaf that holds an array."""

    __slots__ = (
        "args",
        "array",
        "dtype",
        "op",
        "options",
        "segment",
        "shape",
        "tape",
    )

    def __init__(
        self,
        tape: "Tape",
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
        tape.nodes.append(self)

    # What an array has.
    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: self._transpose(tuple(range(self.ndim))[::-1]))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def root(self) -> "Traced":
        """The node whose memory this one shows: itself unless it is a view."""
        node = self
        while node.op in VIEWS:
            node = node.args[0]
        return node

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
        a, b = self._axes((a, b))
        order[a], order[b] = order[b], order[a]
        return self._transpose(tuple(order))

    def _transpose(self, order: tuple[int, ...]) -> "Traced":
        shape = tuple(self.shape[i] for i in order)
        return self.tape.node("transpose", (self,), shape, self.dtype, order)

    def _axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Axes counted from the front; raises ValueError for one that is not there."""
        for axis in axes:
            if not -self.ndim <= axis < self.ndim:
                raise ValueError(f"axis {axis} of an array of shape {self.shape}")
        return tuple(axis % self.ndim for axis in axes)

    def copy(self) -> "Traced":
        """A value of its own with the same numbers."""
        return self.tape.node("cast", (self,), self.shape, self.dtype, ("copy",))

    def __getitem__(self, key: Any) -> "Traced":
        keys = key if isinstance(key, tuple) else (key,)
        if not all(k is None or k is ... or isinstance(k, int | slice) for k in keys):
            _refuse("indexing by an array")
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
        _refuse("a decision on an array's values (if, and, or, bool)")

    def __float__(self) -> float:
        _refuse("reading an array as a Python number (float, int, math.*)")

    __int__ = __index__ = __complex__ = __float__

    def __iter__(self) -> Any:
        _refuse("a loop over an array's rows")

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        _refuse("conversion to a NumPy array")

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
        if any(map(_wraps, args)):
            return NotImplemented
        if method != "__call__" or kwargs:
            _refuse(f"np.{ufunc.__name__} with {', '.join(kwargs) or method}")
        return self.tape.apply(ufunc, *args)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        if any(map(_wraps, args)):
            return NotImplemented
        if function not in FUNCTIONS:
            _refuse(f"np.{function.__name__}")
        return FUNCTIONS[function](self.tape, *args, **kwargs)


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


def _wraps(value: Any) -> bool:
    """Whether `value` computes with arrays inside it, as the dual numbers do."""
    return getattr(value, "wraps_arrays", False) is True


def _infix(op: np.ufunc) -> tuple[Callable[..., Traced], ...]:
    """(x op y, y op x, x op= y) as methods."""

    def forward(self: Traced, other: Any) -> Traced:
        return NotImplemented if _wraps(other) else self.tape.apply(op, self, other)

    def reflected(self: Traced, other: Any) -> Traced:
        return NotImplemented if _wraps(other) else self.tape.apply(op, other, self)

    def inplace(self: Traced, other: Any) -> Traced:
        return self._inplace(other, op)

    return forward, reflected, inplace


def _unary(op: np.ufunc) -> Callable[[Traced], Traced]:
    return lambda self: self.tape.apply(op, self)


INFIX = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
UNARY = {"neg": np.negative, "abs": np.absolute, "invert": np.invert}


def _operators() -> None:
    """Give Traced the operators of an array."""
    for name, op in INFIX.items():
        for prefix, method in zip(("", "r", "i"), _infix(op), strict=True):
            setattr(Traced, f"__{prefix}{name}__", method)
    for name, op in COMPARE.items():
        setattr(Traced, f"__{name}__", _infix(op)[0])
    for name, op in UNARY.items():
        setattr(Traced, f"__{name}__", _unary(op))


_operators()


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
        version = [
            (id(a), self._versions.get(id(a.root), 0)) if isinstance(a, Traced) else a
            for a in args
        ]
        if self.first is None:
            self.first = self.segment
        key = (op, *map(repr, version), repr(options), shape, dtype)
        # Later segments may run in another order: they share with the first alone.
        for segment in (self.segment, self.first):
            if (segment, *key) in self._seen:
                return self._seen[segment, *key]
        node = Traced(self, op, args, shape, dtype, options)
        self._seen[self.segment, *key] = node
        return node

    def lift(self, value: Any) -> Any:
        """`value` as an argument: a Traced array, or a Python number left as it is."""
        if isinstance(value, np.generic):
            return value.item()  # a number of a formula is weak, whatever its type
        if isinstance(value, Traced | bool | int | float):
            return value
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return self.leaf(value)
        _refuse(f"a {type(value).__name__}")

    def apply(self, op: np.ufunc, *args: Any) -> Traced:
        """One elementwise operation, or a matrix product."""
        operands = tuple(map(self.lift, args))
        if op is np.matmul:
            return self._matmul(*operands)
        if op.signature is not None or op.nout != 1:
            _refuse(f"np.{op.__name__}")
        dtype = _result_type(op, operands)
        shape = np.broadcast_shapes(*(getattr(a, "shape", ()) for a in operands))
        return self.node(op, operands, shape, dtype)

    def _matmul(self, a: Traced, b: Traced) -> Traced:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul of shapes {a.shape} and {b.shape}")
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = (*lead, a.shape[-2], b.shape[-1])
        return self.node("matmul", (a, b), shape, np.result_type(a.dtype, b.dtype))

    def reduce(self, op: str, x: Traced, axis: Any, keepdims: bool) -> Traced:
        """Sum or max over one axis, several, or (None) all."""
        if axis is None:
            axis = tuple(range(x.ndim))
        axes = tuple(sorted(x._axes(axis if isinstance(axis, tuple) else (axis,))))
        dtype = x.dtype
        if op == "sum" and dtype.kind in "biu":
            dtype = np.add.reduce(np.empty(0, dtype)).dtype
        shape = tuple(
            1 if i in axes else n
            for i, n in enumerate(x.shape)
            if keepdims or i not in axes
        )
        return self.node(op, (x,), shape, dtype, (axes, bool(keepdims)))

    def store(self, target: Traced, value: Any) -> None:
        """`target[...] = value`, for a leaf or a view of one."""
        if target.root.op != "leaf":
            _refuse("writing into a computed array")
        value = self.lift(value)
        shape = getattr(value, "shape", ())
        if np.broadcast_shapes(target.shape, shape) != target.shape:
            raise ValueError(f"{shape} does not fit into {target.shape}")
        node = Traced(self, "store", (target, value), target.shape, target.dtype)
        self.stores.append(node)
        for leaf in self._leaves.values():
            if base(leaf.array) is base(target.root.array):
                self._versions[id(leaf)] = self._versions.get(id(leaf), 0) + 1


def base(array: Array) -> Array:
    """The array that owns the memory of `array`."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _result_type(op: np.ufunc, operands: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype of `op` over `operands`; Python numbers are weak, as in NumPy 2."""
    kinds: list[Any] = [a.dtype if isinstance(a, Traced) else type(a) for a in operands]
    kinds = [np.dtype(bool) if kind is bool else kind for kind in kinds]
    return op.resolve_dtypes((*kinds, None))[-1]


def _where(tape: Tape, condition: Any, a: Any, b: Any) -> Traced:
    if condition.dtype != np.bool_:
        condition = condition != 0
    operands = tuple(map(tape.lift, (condition, a, b)))
    dtype = _result_type(np.add, operands[1:])
    shape = np.broadcast_shapes(*(getattr(x, "shape", ()) for x in operands))
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
