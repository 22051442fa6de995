"""Calls whose parts go on without waiting for each other.

A part of a call that reads only what the same part of the calls before has written
needs no other part. Such calls make a group; the threads of a crew meet at its end. A
call that needs more (a sum over the batch) waits until the group has ended; so do the
calls that need it, and the others go first.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from xpnet.backend.native.table import Op, span
from xpnet.backend.trace import base


class Touch(NamedTuple):
    """What a call does to a piece of memory.

    Attributes:
        start, stop: addresses.
        row: bytes a row, where each part keeps to its own rows; 0 where it does not.
        rows: of the call, and in how many parts.
        writes: whether it is written.
    """

    start: int
    stop: int
    row: int
    rows: tuple[int, int]
    writes: bool

    def meets(self, other: "Touch") -> bool:
        """Whether their order matters."""
        written = self.writes or other.writes
        return written and self.start < other.stop and other.start < self.stop

    def keeps_to(self, other: "Touch") -> bool:
        """Whether each part of the one touches what the same part of the other does."""
        place = self.start, self.row, self.rows
        return bool(self.row) and place == (other.start, other.row, other.rows)


class _Touched:
    """Memory that some calls touch, by the array that owns it."""

    def __init__(self) -> None:
        self._known: dict[int, list[Touch]] = {}

    def add(self, touches: Iterable[tuple[int, Touch]]) -> None:
        for owner, touch in touches:
            self._known.setdefault(owner, []).append(touch)

    def meetings(
        self, touches: Iterable[tuple[int, Touch]]
    ) -> Iterator[tuple[Touch, Touch]]:
        """(one of `touches`, one of its own) wherever their order matters."""
        for owner, touch in touches:
            for other in self._known.get(owner, ()):
                if touch.meets(other):
                    yield touch, other


def grouped(ops: Sequence[Op]) -> list[list[Op]]:
    """The calls in an order that gives the same numbers, group by group."""
    left = [(op, _rows(op)) for op in ops]
    touches = {id(op): _touches(op, rows) for op, rows in left}
    groups: list[list[Op]] = []
    while left:
        first = left[0][1]
        group: list[Op] = []
        later: list[tuple[Op, tuple[int, int]]] = []
        beside, behind = _Touched(), _Touched()
        for op, rows in left:
            own = touches[id(op)]
            joins = not group or rows[1] == first[1] > 1
            # Before those that wait it may not go where they meet; nor, in the group,
            # where it needs more than its own part of the others.
            joins = joins and not any(behind.meetings(own))
            if joins and all(a.keeps_to(b) for a, b in beside.meetings(own)):
                group.append(op)
                beside.add(own)
            else:
                later.append((op, rows))
                behind.add(own)
        groups.append(group)
        left = later
    return groups


def _rows(op: Op) -> tuple[int, int]:
    """(rows of a call, parts that they are divided into)."""
    share = op.share
    if share is None:
        return 1, 1
    return -(-op.counts[share.cut] // share.grain), share.parts


def _touches(op: Op, rows: tuple[int, int]) -> list[tuple[int, Touch]]:
    """(the owner of the memory, what happens to it) of each array."""
    share = op.share
    found = []
    written = {at % len(op.arrays) for at in op.written}
    for at, (array, start) in enumerate(zip(op.arrays, op.places, strict=True)):
        low, high = span(0, array)
        row = apart = 0
        if share is not None and not low:  # turned round, no part keeps to its rows
            # Rows that are spread keep to each other as if they were not.
            apart = 0 if share.by[at] else share.apart[at]
            row = apart or share.by[at] * share.grain
            if high > row * (share.parts if apart else rows[0]):
                row = 0
        owner, writes, starts = id(base(array)), at in written, [start + low]
        if share is not None and row and apart:
            # Of each part by itself: parts of something else may lie between them.
            high -= row * (share.parts - 1)
            starts = [start + part * row for part in range(share.parts)]
        size = high - low
        found += [(owner, Touch(a, a + size, row, rows, writes)) for a in starts]
    return found
