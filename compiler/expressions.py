"""NumPy's elementwise operations as expressions of C, for the host and for CUDA alike.

Everything that IEEE 754 fixes to the bit gives NumPy's bits, whole numbers wrap round
as NumPy's do, and NaN passes through where it does there. float32 stays float32: each
number is a literal of its dtype and each function the one of its width.
"""

import math
from typing import Any

import numpy as np

from xpnet.trace import Traced

C_TYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype("f4"),
    "double": np.dtype("f8"),
    "signed char": np.dtype("i1"),
    "short": np.dtype("i2"),
    "int": np.dtype("i4"),
    "long long": np.dtype("i8"),
    "unsigned char": np.dtype("u1"),
    "unsigned short": np.dtype("u2"),
    "unsigned int": np.dtype("u4"),
    "unsigned long long": np.dtype("u8"),
    "bool": np.dtype("?"),
}
C_NAMES = {dtype: name for name, dtype in C_TYPES.items()}
INFIX = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.greater: ">",
    np.greater_equal: ">=",
    np.less: "<",
    np.less_equal: "<=",
    np.equal: "==",
    np.not_equal: "!=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
    np.left_shift: "<<",
    np.right_shift: ">>",
}
# {0}, {1}: the arguments, which are names, elements or literals.
FORMS = {
    np.square: "{0} * {0}",
    np.positive: "{0}",
    np.maximum: "({0} >= {1} || {0} != {0} ? {0} : {1})",
    np.minimum: "({0} <= {1} || {0} != {0} ? {0} : {1})",
    np.fmax: "({0} >= {1} || {1} != {1} ? {0} : {1})",
    np.fmin: "({0} <= {1} || {1} != {1} ? {0} : {1})",
    np.sign: "({0} != {0} ? {0} : ({type})({0} > 0) - ({type})({0} < 0))",
    np.logical_and: "({0} != 0) && ({1} != 0)",
    np.logical_or: "({0} != 0) || ({1} != 0)",
    np.logical_xor: "({0} != 0) != ({1} != 0)",
    np.logical_not: "{0} == 0",
    np.floor_divide: "floor_quotient({0}, {1})",
    np.remainder: "floor_remainder({0}, {1})",
}
# The same where {1} is known not to be NaN: one instruction of many processors.
LIMITS = {
    np.maximum: "{1} > {0} ? {1} : {0}",
    np.minimum: "{1} < {0} ? {1} : {0}",
}
# For floating-point arguments: the function of float64; that of float32 ends in f.
FUNCTIONS = {
    np.absolute: "fabs", np.fabs: "fabs", np.sqrt: "sqrt", np.cbrt: "cbrt",
    np.exp: "exp", np.exp2: "exp2", np.expm1: "expm1", np.power: "pow",
    np.log: "log", np.log2: "log2", np.log10: "log10", np.log1p: "log1p",
    np.sin: "sin", np.cos: "cos", np.tan: "tan",
    np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan", np.arctan2: "atan2",
    np.sinh: "sinh", np.cosh: "cosh", np.tanh: "tanh",
    np.arcsinh: "asinh", np.arccosh: "acosh", np.arctanh: "atanh",
    np.floor: "floor", np.ceil: "ceil", np.trunc: "trunc", np.rint: "rint",
    np.hypot: "hypot", np.copysign: "copysign", np.fmod: "fmod",
}  # fmt: skip
TESTS = {  # of floating-point numbers; written so that no header is needed
    np.isnan: "{0} != {0}",
    np.isfinite: "({0} - {0}) == 0",
    np.isinf: "{0} == {0} && ({0} - {0}) != 0",
}
WRAPPING = (np.add, np.subtract, np.multiply)
SHIFTS = (np.left_shift, np.right_shift)
INFINITY = {4: "__int_as_float(0x7f800000)"}
INFINITY[8] = "__longlong_as_double(0x7ff0000000000000LL)"
NAN = {4: "__int_as_float(0x7fc00000)", 8: "__longlong_as_double(0x7ff8000000000000LL)"}
SUFFIX = {"f4": "f", "i8": "LL", "u4": "u", "u8": "ULL"}


def supports(node: Traced, kinds: list[np.dtype[Any]]) -> bool:
    """Whether the elementwise `node`, with arguments of dtypes `kinds`, is here."""
    if any(kind not in C_NAMES for kind in (node.dtype, *kinds)):
        return False
    if node.op in ("where", "cast", "store"):
        return True
    floating = all(kind.kind == "f" for kind in kinds)
    if floating and (node.op in FUNCTIONS or node.op in TESTS):
        return True
    if node.op is np.reciprocal:
        return floating
    if node.op in (np.negative, np.absolute, np.invert):
        return True
    return node.op in INFIX or node.op in FORMS


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """A Python number as a literal of exactly that dtype."""
    number = dtype.type(value).item()
    if dtype.kind == "b":
        return "true" if number else "false"
    suffix = SUFFIX.get(dtype.str[1:], "")
    if dtype.kind == "f":
        if math.isnan(number):
            return NAN[dtype.itemsize]
        if math.isinf(number):
            return ("-" if number < 0 else "") + INFINITY[dtype.itemsize]
        text = f"{number!r}{suffix}"
    elif number == np.iinfo(dtype).min and number < 0:
        text = f"{number + 1}{suffix} - 1"  # the number itself is no literal of C
    else:
        text = f"{number}{suffix}"
    return f"({text})" if number < 0 or text[0] == "-" else text


def lowest(dtype: np.dtype[Any]) -> str:
    """The largest of no numbers, as a literal."""
    if dtype.kind == "b":
        return "0"
    return literal(-math.inf if dtype.kind == "f" else np.iinfo(dtype).min, dtype)


def expression(node: Traced, args: list[str], kinds: list[np.dtype[Any]]) -> str:
    """`node` of the texts `args`, as a value of its dtype's C type."""
    name = C_NAMES[node.dtype]
    if node.op == "where":
        return f"({name})({args[0]} ? {args[1]} : {args[2]})"
    if node.op == "cast":
        return f"({name})({args[0]})"
    assert isinstance(node.op, np.ufunc)
    if node.op in LIMITS and _is_number(node.args[1]):
        return f"({name})({LIMITS[node.op].format(*args)})"
    return f"({name})({_ufunc(node.op, args, kinds)})"


def _is_number(value: Any) -> bool:
    """Whether it is one of Python's, and no NaN."""
    return isinstance(value, int | float) and value == value


def _ufunc(op: np.ufunc, args: list[str], kinds: list[np.dtype[Any]]) -> str:
    kind = kinds[0]
    if kind.kind == "f" and op in FUNCTIONS:
        return f"{FUNCTIONS[op]}{SUFFIX.get(kind.str[1:], '')}({', '.join(args)})"
    if op in TESTS:
        return TESTS[op].format(*args)
    if op is np.reciprocal:
        return f"{literal(1, kind)} / {args[0]}"
    if op is np.absolute:
        return f"{args[0]} < 0 ? -{args[0]} : {args[0]}"
    if op is np.invert:
        return f"!{args[0]}" if kind.kind == "b" else f"~{args[0]}"
    if op is np.negative:
        return f"-{args[0]}"
    if op in WRAPPING and kind.kind == "i":
        wide = C_NAMES[np.dtype(f"u{max(kind.itemsize, 4)}")]
        return f"({wide}){args[0]} {INFIX[op]} ({wide}){args[1]}"
    if op in SHIFTS:
        return _shift(op, args, kind)
    if op in INFIX:
        return f"{args[0]} {INFIX[op]} {args[1]}"
    return FORMS[op].format(*args, type=C_NAMES[kind])


def _shift(op: np.ufunc, args: list[str], kind: np.dtype[Any]) -> str:
    """A shift by as many places as there are bits, or more, leaves the sign."""
    bits = 8 * kind.itemsize
    wide = C_NAMES[np.dtype(f"u{kind.itemsize}")]
    inside = f"({wide}){args[1]} < {bits}u"
    if op is np.left_shift:
        return f"{inside} ? ({wide}){args[0]} << {args[1]} : 0"
    rest = f"({args[0]} < 0 ? -1 : 0)" if kind.kind == "i" else "0"
    return f"{inside} ? {args[0]} >> {args[1]} : {rest}"
