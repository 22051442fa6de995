"""The operators of a traced array: `x + y` is `np.add` on its tape."""

from collections.abc import Callable
from typing import Any

import numpy as np

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


def give_operators(kind: type) -> None:
    """Give a class of traced arrays the operators of an array."""
    for name, op in INFIX.items():
        for prefix, method in zip(("", "r", "i"), _infix(op), strict=True):
            setattr(kind, f"__{prefix}{name}__", method)
    for name, op in COMPARE.items():
        setattr(kind, f"__{name}__", _infix(op)[0])
    for name, op in UNARY.items():
        setattr(kind, f"__{name}__", _unary(op))


def wraps(value: Any) -> bool:
    """Whether `value` computes with arrays inside it, as the dual numbers do."""
    return getattr(value, "wraps_arrays", False) is True


def _infix(op: np.ufunc) -> tuple[Callable[..., Any], ...]:
    """(x op y, y op x, x op= y) as methods."""

    def forward(self: Any, other: Any) -> Any:
        return NotImplemented if wraps(other) else self.tape.apply(op, self, other)

    def reflected(self: Any, other: Any) -> Any:
        return NotImplemented if wraps(other) else self.tape.apply(op, other, self)

    def inplace(self: Any, other: Any) -> Any:
        return self._inplace(other, op)

    return forward, reflected, inplace


def _unary(op: np.ufunc) -> Callable[[Any], Any]:
    return lambda self: self.tape.apply(op, self)
