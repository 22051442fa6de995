"""Kernel launches that are checked against the C signature of the kernel.

A launch hands bare addresses and bytes to the device. A Python float arrives there as
8 bytes where a `float` parameter reads 4, the transpose of an array as the array. So
every executor, on a GPU or not, launches what `bind` has checked.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler.expressions import C_TYPES

KERNEL = re.compile(
    r'extern "C" __global__ void\s+(?:__launch_bounds__\(\d+\)\s+)?(\w+)\s*\(([^)]*)\)'
)
MAX_THREADS = 1024  # of a block
MAX_GRID = (2**31 - 1, 65535, 65535)


class LaunchError(TypeError):
    """Arguments that do not fit the kernel's signature."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: a number, or a pointer to numbers, of `dtype`."""

    name: str
    dtype: np.dtype[Any]
    pointer: bool


@dataclass(frozen=True)
class Signature:
    """What a kernel is called and what it takes."""

    name: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Strided:
    """An array whose strides are written into the kernel: it need not be contiguous."""

    array: Array


class Bound(tuple[Any, ...]):
    """Arguments that were checked against `signature`, ready to be launched."""

    signature: Signature


def signatures(source: str) -> dict[str, Signature]:
    """The signature of every `extern "C" __global__` function in `source`, by name.

    Raises:
        ValueError: a parameter of a type that is none of C_TYPES.
    """
    found = {}
    for name, text in KERNEL.findall(source):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        found[name] = Signature(name, tuple(_parameter(name, p) for p in parts))
    return found


def _parameter(kernel: str, text: str) -> Parameter:
    words = re.sub(r"\b(const|__restrict__)\b", " ", text).replace("*", " * ").split()
    pointer = "*" in words
    *kind, name = [word for word in words if word != "*"]
    dtype = C_TYPES.get(" ".join(kind))
    if dtype is None:
        raise ValueError(
            f"{kernel}: parameter {text!r}: expected one of {', '.join(C_TYPES)}"
        )
    return Parameter(name, dtype, pointer)


def bind(signature: Signature, args: tuple[Any, ...], ordinal: int) -> Bound:
    """`args`, checked: dtype, contiguity and device of arrays, width of numbers.

    Args:
        signature: of the kernel.
        args: a device array a pointer (`Strided` where the kernel knows the strides),
            a NumPy scalar of exactly the parameter's type a number.
        ordinal: the device that the kernel runs on.

    Raises:
        LaunchError: with the kernel, the parameter, what it takes and what came.
    """
    if isinstance(args, Bound) and args.signature is signature:
        return args
    wanted = signature.parameters
    if len(args) != len(wanted):
        raise LaunchError(
            f"{signature.name} takes {len(wanted)} arguments "
            f"({', '.join(p.name for p in wanted)}), got {len(args)}"
        )
    checked = [
        _argument(signature.name, p, a, ordinal)
        for p, a in zip(wanted, args, strict=True)
    ]
    bound = Bound(checked)
    bound.signature = signature
    return bound


def _argument(kernel: str, parameter: Parameter, value: Any, ordinal: int) -> Any:
    check = _array if parameter.pointer else _number
    problem = check(parameter, value, ordinal)
    if problem:
        raise LaunchError(f"{kernel}: {parameter.name}: {problem}")
    return value.array if isinstance(value, Strided) else value


def _number(parameter: Parameter, value: Any, ordinal: int) -> str:
    wanted = parameter.dtype
    if isinstance(value, np.generic) and value.dtype == wanted:
        return ""
    got = f"{type(value).__name__} {value!r}"
    return f"expected np.{wanted.name}, a number of exactly that width, got {got}"


def _array(parameter: Parameter, value: Any, ordinal: int) -> str:
    array = value.array if isinstance(value, Strided) else value
    if not hasattr(array, "__cuda_array_interface__"):
        return f"expected an array on the device, got {type(value).__name__}"
    if array.dtype != parameter.dtype:
        return f"expected an array of {parameter.dtype}, got {array.dtype}"
    if not isinstance(value, Strided) and not array.flags.c_contiguous:
        return (
            f"expected a C-contiguous array, got shape {array.shape} with strides "
            f"{array.strides}; copy it first"
        )
    if int(array.device.id) != ordinal:
        return f"expected an array on cuda:{ordinal}, got one on {array.device.id}"
    return ""


def check_grid(
    name: str, grid: tuple[int, int, int], block: tuple[int, int, int]
) -> None:
    """Raises LaunchError for a grid or block that no device accepts."""
    threads = block[0] * block[1] * block[2]
    within = all(1 <= n <= most for n, most in zip(grid, MAX_GRID, strict=True))
    if not within or min(block) < 1 or threads > MAX_THREADS:
        raise LaunchError(
            f"{name}: expected a grid of 1 to {MAX_GRID} blocks of at most "
            f"{MAX_THREADS} threads, got grid {grid} and block {block}"
        )
