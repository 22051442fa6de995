"""A recorded call as the numbers that `runtime.c` reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler.row_partition import Share
from xpnet.trace.array import base

MOST_ARRAYS = 256  # of runtime.c
Span = tuple[int, int]


@dataclass(eq=False)
class NativeCall:
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
        share: how threads divide it; None where they do not.
        places: the addresses of the arrays.
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
    places: list[int] = field(default_factory=list)
    _owners: list[int] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.member = self.member or [0] * len(self.arrays)
        self.name = self.name or str(self.function)
        self.step = self.step or [0] * len(self.arrays)
        self.places = self.places or [address(x) for x in self.arrays]

    @property
    def owners(self) -> list[int]:
        """The `id` of what owns the memory of each array."""
        # Not a cached_property: its lock may be held by another thread at a fork.
        if self._owners is None:
            self._owners = [id(base(array)) for array in self.arrays]
        return self._owners

    def point(self, arrays: Sequence[Array]) -> None:
        """Take these arrays in place of its own."""
        places = list(self.places)
        for i, array in enumerate(arrays):
            if array is not self.arrays[i]:
                places[i] = address(array)
        self.arrays, self.places, self._owners = list(arrays), places, None


class CallTable:
    """Calls in a row, in memory that C reads.

    Args:
        groups: the calls; every `function` is an address by now. Parts of a group's
            calls need no other part of them.
    """

    FIELDS = 16

    def __init__(self, groups: Sequence[Sequence[NativeCall]]) -> None:
        self.ops = [op for group in groups for op in group]
        behind = [n for group in groups for n in range(len(group), 0, -1)]
        numbers: list[int] = []
        places: list[list[int]] = []
        for op in self.ops:
            divided = [] if op.share is None else [op.share.by, op.share.apart]
            row = []
            for part in (op.strides, op.counts, op.member, op.step, *divided):
                row.append(len(numbers))
                numbers += part
            row += [0] * (6 - len(row))
            places.append([*row, len(numbers)])
            numbers += op.places
        self._numbers = np.array(numbers or [0], np.int64)
        self._starts = [row[-1] for row in places]
        first = address(self._numbers)
        rows = [
            (*_row(op, *(first + 8 * at for at in row)), group)
            for op, row, group in zip(self.ops, places, behind, strict=True)
        ]
        self.rows = np.array(rows or [(0,) * self.FIELDS], np.int64)
        self.address, self.count = address(self.rows), len(self.ops)

    def point(self, op: NativeCall) -> None:
        """Let `op` take the arrays that it has by now."""
        start = self._starts[self.ops.index(op)]
        self._numbers[start : start + len(op.places)] = op.places


def _row(
    op: NativeCall,
    strides: int,
    counts: int,
    member: int,
    step: int,
    by: int,
    apart: int,
    arrays: int,
) -> tuple[Any, ...]:
    """A row of `Call` in runtime.c, but for its last number."""
    share = op.share or Share(1)
    lists = (strides, counts, len(op.counts), op.unit, arrays, len(op.arrays))
    divided = (share.parts, share.cut, share.grain, by, apart)
    return op.function, op.data, *lists, member, step, *divided


def span(place: int, array: Array) -> Span:
    """(first byte, behind the last) of an array that begins at `place`."""
    if array.flags.c_contiguous:
        return place, place + array.nbytes
    steps = zip(array.shape, array.strides, strict=True)
    spans = [(n - 1) * stride for n, stride in steps]
    low = sum(span for span in spans if span < 0)
    high = sum(span for span in spans if span > 0)
    return place + low, place + high + array.itemsize
