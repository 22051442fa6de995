"""A recorded call, and a table of calls as the numbers that `runtime.c` reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.row_partition import Share

MOST_ARRAYS = 256  # of runtime.c
FIELDS, LISTS = 16, [2, 3, 6, 8, 9, 13, 14]  # of a `Call` there: all, pointers
WHOLE = Share(1)
OFFSET = attrgetter("offset")  # linked anew in every fit: no calls of Python


@dataclass(eq=False)
class NativeCall:
    """One call of a function with the signature of NumPy's inner loops.

    Attributes:
        function: the name of a ufunc, or of a function in the program's own library.
        arrays: what it reads and writes, or bound references to that. The call keeps
            arrays alive, and not what a reference shows.
        counts: how often, how wide; the first is `unit` a network, where that is not 0.
        strides: bytes, as the function expects them.
        code: (address, data) of the function; None before a library is linked.
        member: bytes from one network of a stack to the next, an array each.
        step: likewise from one training step to the next.
        written: the places of the arrays that it writes.
        reduces: whether a loop finds the largest of its last axis.
        share: how threads divide it; None where they do not.
        operands: references to the arrays.
    """

    function: str
    arrays: list[Array]
    counts: list[int]
    strides: list[int]
    code: tuple[int, int] | None = None
    unit: int = 0
    member: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    written: Sequence[int] = (-1,)
    reduces: bool = False
    share: Share | None = None
    operands: list[BufferRef] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operands = self.operands or list(map(BufferRef.of, self.arrays))
        self.member = self.member or [0] * len(self.operands)
        self.step = self.step or [0] * len(self.operands)

    def point(self, at: int, array: Array) -> None:
        """Take `array`, laid out as operand `at`, in the place of that."""
        ref, old = BufferRef.of(array), self.operands[at]
        place = (ref.buffer, ref.offset, old.shape, old.strides, old.dtype)
        self.operands[at] = BufferRef(*place)
        self.arrays[at] = array


class CallTable:
    """Calls in a row, in memory that C reads.

    Args:
        groups: the calls, with their code. Parts of a group's calls need no other part
            of them.
    """

    def __init__(self, groups: Sequence[Sequence[NativeCall]]) -> None:
        self.ops = [op for group in groups for op in group]
        behind = [n for group in groups for n in range(len(group), 0, -1)]
        numbers: list[int] = []
        rows: list[tuple[int, ...]] = []
        self._starts: dict[NativeCall, int] = {}
        for op, group in zip(self.ops, behind, strict=True):
            share, places = op.share or WHOLE, list(map(OFFSET, op.operands))
            moves, divided = (op.member, op.step), (share.by, share.apart)
            at = []
            for part in (op.strides, op.counts, places, *moves, *divided):
                at.append(len(numbers))
                numbers += part
            self._starts[op] = at[2]
            # A `Call` of runtime.c, but for the addresses of its lists.
            assert op.code is not None
            head = (*op.code, at[0], at[1], len(op.counts), op.unit)
            arrays = (at[2], len(places), at[3], at[4])
            tail = (share.parts, share.cut, share.grain, at[5], at[6], group)
            rows.append((*head, *arrays, *tail))
        self._numbers = np.array(numbers or [0], np.int64)
        self.rows = np.array(rows or [(0,) * FIELDS], np.int64)
        self.rows[:, LISTS] = 8 * self.rows[:, LISTS] + address(self._numbers)
        self.address, self.count = address(self.rows), len(self.ops)

    def point(self, op: NativeCall) -> None:
        """Let `op`, if it is in the table, take the operands that it has by now."""
        start = self._starts.get(op)
        if start is not None:
            places = list(map(OFFSET, op.operands))
            self._numbers[start : start + len(places)] = places
