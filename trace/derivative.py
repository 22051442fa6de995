"""Elementwise formulas: plain Python functions of arrays, and their derivatives.

A formula such as `lambda z: z / (1 + np.exp(-z))` is run once on a *dual* number, a
value with its derivative beside it (Wengert, "A simple automatic derivative evaluation
program", CACM 1964). Every operation it meets adds one rule of the table below. On
traced arrays that gives the derivative's own trace: it is recorded, fused and compiled
like any other formula, and shares what the function has computed already.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import shown

Formula = Callable[[Array], Array]

# d(op)/d(argument i) as functions of (arguments..., result).
RULES: dict[np.ufunc, tuple[Callable[..., Any], ...]] = {
    np.add: (lambda a, b, y: 1.0, lambda a, b, y: 1.0),
    np.subtract: (lambda a, b, y: 1.0, lambda a, b, y: -1.0),
    np.multiply: (lambda a, b, y: b, lambda a, b, y: a),
    np.divide: (lambda a, b, y: 1.0 / b, lambda a, b, y: -y / b),
    np.power: (lambda a, b, y: b * a ** (b - 1), lambda a, b, y: y * np.log(a)),
    np.maximum: (lambda a, b, y: a > b, lambda a, b, y: b >= a),
    np.minimum: (lambda a, b, y: a < b, lambda a, b, y: b <= a),
    np.positive: (lambda a, y: 1.0,),
    np.negative: (lambda a, y: -1.0,),
    np.absolute: (lambda a, y: np.sign(a),),
    np.sign: (lambda a, y: 0.0,),
    np.exp: (lambda a, y: y,),
    np.expm1: (lambda a, y: y + 1.0,),
    np.log: (lambda a, y: 1.0 / a,),
    np.log1p: (lambda a, y: 1.0 / (1.0 + a),),
    np.sqrt: (lambda a, y: 0.5 / y,),
    np.square: (lambda a, y: 2.0 * a,),
    np.reciprocal: (lambda a, y: -y * y,),
    np.tanh: (lambda a, y: 1.0 - y * y,),
    np.sinh: (lambda a, y: np.cosh(a),),
    np.cosh: (lambda a, y: np.sinh(a),),
    np.sin: (lambda a, y: np.cos(a),),
    np.cos: (lambda a, y: -np.sin(a),),
    np.arctan: (lambda a, y: 1.0 / (1.0 + a * a),),
}
COMPARISONS = {
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.equal,
    np.not_equal,
}
PLAIN = COMPARISONS | {np.logical_and, np.logical_or, np.logical_not, np.isfinite}


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """A value with its derivative; `slope` None means a derivative of zero."""

    wraps_arrays = True  # a traced operand leaves the operation to this class

    def __init__(self, value: Array, slope: Array) -> None:
        self.value, self.slope = value, slope

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)

    def __array_ufunc__(
        self, op: np.ufunc, method: str, *args: Any, **kwargs: Any
    ) -> Any:
        if method != "__call__" or kwargs:
            raise TypeError(
                f"a formula is elementwise; np.{op.__name__}.{method} is not"
            )
        values = [a.value if isinstance(a, Dual) else a for a in args]
        if op in PLAIN:
            return op(*values)
        if op not in RULES:
            known = ", ".join(sorted(f.__name__ for f in RULES))
            raise TypeError(
                f"no derivative is known for np.{op.__name__}; expected one of "
                f"{known}, where, clip; or give Activation(function, derivative) both"
            )
        result = op(*values)
        return Dual(result, _chain(op, args, values, result))

    def __pow__(self, power: Any) -> "Dual":
        if isinstance(power, int | float):
            if power == 0:
                return Dual(self.value**power, None)
            value = self.value**power
            return Dual(value, _times(power * self.value ** (power - 1), self.slope))
        power_of: Any = np.power
        return power_of(self, power)  # type: ignore[no-any-return]

    def __array_function__(self, function: Any, types: Any, args: Any, kw: Any) -> Any:
        if function is np.where and len(args) == 3:
            return _where(*args)
        if function is np.clip:
            return _clip(*args, **kw)
        raise TypeError(f"a formula is elementwise; np.{function.__name__} is not")

    def astype(self, dtype: Any) -> "Dual":
        """The same numbers as `dtype`."""
        slope = self.slope
        if slope is not None and not isinstance(slope, int | float):
            slope = slope.astype(dtype)
        return Dual(self.value.astype(dtype), slope)

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            f"a formula is elementwise, of NumPy functions of z (np.exp, np.where); "
            f"got z.{name}"
        )

    def __bool__(self) -> bool:
        raise TypeError("a formula must not branch on values; use np.where")

    def __float__(self) -> float:
        raise TypeError("a formula takes NumPy functions (np.exp), not math.exp")


def _times(factor: Any, slope: Any) -> Any:
    """factor · slope, where a factor of one and a slope of one need no operation."""
    if slope is None or (isinstance(factor, float) and factor == 0.0):
        return None
    if isinstance(factor, int | float) and factor == 1:
        return slope
    return factor if isinstance(slope, float) and slope == 1.0 else factor * slope


def _chain(op: np.ufunc, args: Any, values: list[Any], result: Array) -> Any:
    """Σ ∂op/∂argument · slope of the argument."""
    total: Any = None
    for rule, argument in zip(RULES[op], args, strict=True):
        if isinstance(argument, Dual):
            term = _times(rule(*values, result), argument.slope)
            if getattr(term, "dtype", None) == np.bool_:
                term = term.astype(result.dtype)  # True + True is 2 here
            total = _plus(total, term)
    return total


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _clip(a: Any, a_min: Any, a_max: Any) -> Any:
    return np.minimum(np.maximum(a, a_min), a_max)


def _where(condition: Any, a: Any, b: Any) -> Dual:
    condition = condition.value if isinstance(condition, Dual) else condition
    parts = [x if isinstance(x, Dual) else Dual(x, None) for x in (a, b)]
    slopes = [0.0 if p.slope is None else p.slope for p in parts]
    value: Any = np.where(condition, parts[0].value, parts[1].value)
    slope: Any = np.where(condition, slopes[0], slopes[1])
    return Dual(value, slope.astype(value.dtype))


def derivative(formula: Formula) -> Formula:
    """f' of an elementwise `formula` f, derived from its trace.

    At a kink (the 0 of `maximum(z, 0)`) the one-sided derivative that the rule picks.

    Raises:
        TypeError: when the returned function meets an operation that is not
            elementwise or has no rule; for something else than a function.
    """
    if not callable(formula):
        raise TypeError(
            f"derivative: expected a function f(z), got {shown(formula)}; such as "
            "lambda z: z * z"
        )

    def slope(z: Array) -> Array:
        result = formula(Dual(z, 1.0))
        found = result.slope if isinstance(result, Dual) else None
        if found is None or isinstance(found, int | float):
            return z * 0.0 + (found or 0.0)
        return found.astype(z.dtype)

    return slope
