"""A recorded call as the numbers that `runtime.c` reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.backend.native.share import Share
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
        share: how threads divide it; None for a call of a program without a crew.
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
    share: Share | None = None

    def __post_init__(self) -> None:
        self.member = self.member or [0] * len(self.arrays)
        self.name = self.name or str(self.function)
        self.step = self.step or [0] * len(self.arrays)


class Table:
    """Calls in a row, in memory that C reads.

    Args:
        ops: the calls; every `function` is an address by now.
    """

    FIELDS = 14

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = list(ops)
        numbers: list[int] = []
        places: list[list[int]] = []
        for op in ops:
            by = op.share.by if op.share else []
            row = []
            for part in (op.strides, op.counts, op.member, op.step, by):
                row.append(len(numbers))
                numbers += part
            places.append([*row, len(numbers)])
            numbers += [address(x) for x in op.arrays]
        self._numbers = np.array(numbers or [0], np.int64)
        self._starts = [row[-1] for row in places]
        first = address(self._numbers)
        rows = [
            _row(op, *(first + 8 * at for at in row))
            for op, row in zip(ops, places, strict=True)
        ]
        self.rows = np.array(rows or [[0] * self.FIELDS], np.int64)
        self.address, self.count = address(self.rows), len(self.ops)

    def point(self, at: int, arrays: Sequence[Array]) -> None:
        """Let call number `at` take these arrays in place of its own."""
        self.ops[at].arrays = list(arrays)
        start = self._starts[at]
        self._numbers[start : start + len(arrays)] = [address(x) for x in arrays]


def _row(
    op: Op, strides: int, counts: int, member: int, step: int, by: int, arrays: int
) -> tuple[Any, ...]:
    """A row of `Call` in runtime.c."""
    share = op.share or Share(0, 0, 1, [])
    lists = (strides, counts, len(op.counts), op.unit, arrays, len(op.arrays))
    divided = (share.parts, share.cut, share.grain, by)
    return op.function, op.data, *lists, member, step, *divided


def address(array: Array) -> int:
    """Where the array begins."""
    found: int = array.__array_interface__["data"][0]
    return found
