"""A recorded call as the numbers that `runtime.c` reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.backend.trace import Array

MOST_ARRAYS = 256  # of runtime.c


@dataclass(eq=False)
class Op:
    """One call of a function with the signature of NumPy's inner loops.

    Attributes:
        function: its address, or its name in the program's own library.
        arrays: what it reads and writes; their addresses are taken at once.
        counts: how often, how wide; the first is `unit` a network, where that is not 0.
        strides: bytes, as the function expects them.
        member: bytes from one network of a stack to the next, an array each.
        step: likewise from one training step to the next.
        written: the places of the arrays that it writes.
        name: of the ufunc or of the loop.
        reduces: whether a loop finds the largest of its last axis.
    """

    function: int | str
    arrays: list[Array]
    counts: list[int]
    strides: list[int]
    data: int = 0
    unit: int = 0
    member: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    written: tuple[int, ...] = (-1,)
    name: str = ""
    reduces: bool = False

    def __post_init__(self) -> None:
        self.member = self.member or [0] * len(self.arrays)
        self.name = self.name or str(self.function)
        self.step = self.step or [0] * len(self.arrays)


class Table:
    """Calls in a row, in memory that C reads.

    Args:
        ops: the calls; every `function` is an address by now.
    """

    FIELDS = 10

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = list(ops)
        self.rows = np.zeros((max(len(ops), 1), self.FIELDS), np.int64)
        self._kept: list[Any] = []
        self.pointers: list[np.ndarray[Any, Any]] = []
        for row, op in zip(self.rows, self.ops, strict=False):
            arrays = self._numbers([address(x) for x in op.arrays])
            self.pointers.append(arrays)
            row[:] = (
                op.function,
                op.data,
                self._at(op.strides),
                self._at(op.counts),
                len(op.counts),
                op.unit,
                arrays.ctypes.data,
                len(op.arrays),
                self._at(op.member),
                self._at(op.step),
            )
        self.address, self.count = self.rows.ctypes.data, len(self.ops)

    def _numbers(self, values: list[int]) -> np.ndarray[Any, Any]:
        numbers = np.array(values, np.int64)
        self._kept.append(numbers)
        return numbers

    def _at(self, values: list[int]) -> int:
        return self._numbers(values).ctypes.data

    def point(self, at: int, arrays: Sequence[Array]) -> None:
        """Let call number `at` take these arrays in place of its own."""
        self.ops[at].arrays = list(arrays)
        self.pointers[at][:] = [address(x) for x in arrays]


def address(array: Array) -> int:
    """Where the array begins."""
    found: int = array.__array_interface__["data"][0]
    return found
