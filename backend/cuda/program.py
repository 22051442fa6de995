"""The kernels of one recorded program, compiled as one module."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from xpnet.backend.cuda.driver import Driver
from xpnet.backend.cuda.emit import Kernel
from xpnet.backend.cuda.launch import bind
from xpnet.backend.trace import Array, Traced

Call = tuple[Callable[..., Any], tuple[Any, ...]]
SUFFIX = {np.dtype("f4"): "f32", np.dtype("f8"): "f64"}
DOT_THREADS = 256  # a block, as `block_sum` of kernels.cu has it
DOT_ELEMENTS = 1024  # a block, until there are DOT_PARTS
DOT_PARTS = 256


@cache
def handwritten() -> str:
    """The text of kernels.cu."""
    return files("xpnet.backend.cuda").joinpath("kernels.cu").read_text("utf-8")


class Kernels:
    """Collects the kernels of a program, then compiles them at once.

    Args:
        driver: compiles and launches.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._texts: dict[str, str] = {}

    @property
    def source(self) -> str:
        """The whole text: what is written by hand, then what was generated."""
        return "\n".join([handwritten(), *self._texts.values()])

    def call(self, kernel: Kernel) -> Call:
        """The launch of `kernel`, to be bound by `compiled`."""
        self._texts.setdefault(kernel.name, kernel.text)
        launch = (kernel.name, kernel.grid, kernel.block, kernel.args)
        return self.driver.launch, launch

    def dot(self, x: Array, y: Array, parts: Array, out: Array) -> list[Call]:
        """out[l] = Σᵢ x[l, i] y[l, i] over contiguous arrays, in two stages.

        Args:
            x, y: (lines, n).
            parts: scratch (lines, p) with p of `dot_parts`; unused where p is 1.
            out: (lines,).
        """
        lines, n = x.shape
        count, kind = parts.shape[-1], SUFFIX[x.dtype]
        first = out if count == 1 else parts
        block, grid = (DOT_THREADS, 1, 1), (count, lines, 1)
        args: tuple[Any, ...] = (x, y, first, np.int64(n))
        calls: list[Call] = [
            (self.driver.launch, (f"dot_parts_{kind}", grid, block, args))
        ]
        if count > 1:
            args = (parts, out, np.int32(count))
            launch = (f"add_parts_{kind}", (lines, 1, 1), block, args)
            calls.append((self.driver.launch, launch))
        return calls

    def compiled(self, segments: dict[str, list[Call]]) -> dict[str, list[Call]]:
        """The calls of a program with compiled kernels and checked arguments."""
        launch, ordinal = self.driver.launch, self.driver.ordinal
        module = self.driver.load(self.source)

        def bound(call: Call) -> Call:
            if call[0] != launch:
                return call
            name, grid, block, args = call[1]
            function = module.function(name)
            checked = bind(function.signature, args, ordinal)
            return launch, (function, grid, block, checked)

        return {
            name: [bound(call) for call in calls] for name, calls in segments.items()
        }


def is_dot(node: Traced) -> bool:
    """Whether a product is that of one row with one column, long sums."""
    if node.op != "matmul" or node.shape[-2:] != (1, 1) or node.dtype not in SUFFIX:
        return False
    a, b = node.args
    lead = node.shape[:-2]
    return (a.dtype, b.dtype) == (node.dtype,) * 2 and a.shape[:-2] == b.shape[
        :-2
    ] == lead


def dot_parts(n: int) -> int:
    """How many blocks share a row of `n` elements."""
    return min(DOT_PARTS, -(-n // DOT_ELEMENTS))
