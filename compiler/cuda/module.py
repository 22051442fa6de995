"""The kernels of one recorded program, compiled as one module."""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.compiler.cuda.driver import Driver, Module
from xpnet.compiler.cuda.kernel import Kernel
from xpnet.compiler.cuda.launch import bind
from xpnet.compiler.primitives import Call
from xpnet.trace import Traced

SUFFIX = {np.dtype("f4"): "f32", np.dtype("f8"): "f64"}
DOT_THREADS = 256  # a block, as `block_sum` of kernels.cu has it


@cache
def handwritten() -> str:
    """The text of kernels.cu."""
    return files("xpnet.compiler.cuda").joinpath("kernels.cu").read_text("utf-8")


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
        return self.driver.launch, (kernel,)

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
        joined = {name: self._joined(calls) for name, calls in segments.items()}
        for calls in joined.values():
            for function, args in calls:
                if function == self.driver.launch and isinstance(args[0], Kernel):
                    self._texts[args[0].name] = args[0].text
        module = self.driver.load(self.source)
        return {
            name: [self._bound(call, module) for call in calls]
            for name, calls in joined.items()
        }

    def _joined(self, calls: list[Call]) -> list[Call]:
        """Neighbouring kernels that have nothing to do with each other as one."""
        found: list[Call] = []
        for call in calls:
            last = found[-1][1][0] if found else None
            this = call[1][0] if call[1] else None
            if isinstance(last, Kernel) and isinstance(this, Kernel):
                both = last.beside(this)
                if both is not None:
                    found[-1] = self.call(both)
                    continue
            found.append(call)
        return found

    def _bound(self, call: Call, module: Module) -> Call:
        launch, args = call
        if launch != self.driver.launch:
            return call
        if isinstance(args[0], Kernel):
            args = (args[0].name, *args[0].launch)
        name, grid, block, values = args
        function = module.function(name)
        checked = bind(function.signature, values, self.driver.ordinal)
        return launch, (function, grid, block, checked)


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
    return min(tuning.MAX_DOT_PARTS, -(-n // tuning.DOT_ELEMENTS_PER_BLOCK))
