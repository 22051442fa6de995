"""Calls whose parts go on without waiting for each other.

A part of a call that reads only what the same part of the calls before has written
needs no other part. Such calls make a group; the threads of a crew meet at its end. A
call that needs more (a sum over the batch) waits until the group has ended; so do the
calls that need it, and the others go first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from xpnet.compiler.buffers import meet
from xpnet.compiler.c.call_table import NativeCall


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
        return written and meet(self[:2], other[:2])

    def keeps_to(self, other: "Touch") -> bool:
        """Whether each part of the one touches what the same part of the other does."""
        place = self.start, self.row, self.rows
        return bool(self.row) and place == (other.start, other.row, other.rows)


def grouped(ops: Sequence[NativeCall]) -> list[list[NativeCall]]:
    """The calls in an order that gives the same numbers, group by group.

    Each joins the first group that is divided as it is and not before those it needs.
    """
    groups: list[tuple[int, list[NativeCall]]] = []
    known: dict[int, list[tuple[int, Touch]]] = {}  # owner -> (group, what it touches)
    for op in ops:
        rows = _rows(op)
        own = _touches(op, rows)
        first = 0
        for owner, touch in own:
            for at, other in known.get(owner, ()):
                if at >= first and touch.meets(other):
                    first = at if touch.keeps_to(other) else at + 1
        parts = rows[1]
        for at in range(first, len(groups) if parts > 1 else first):
            if groups[at][0] == parts:
                break
        else:
            at = len(groups)
            groups.append((parts, []))
        groups[at][1].append(op)
        for owner, touch in own:
            known.setdefault(owner, []).append((at, touch))
    return [group for _, group in groups]


def _rows(op: NativeCall) -> tuple[int, int]:
    """(rows of a call, parts that they are divided into)."""
    share = op.share
    if share is None:
        return 1, 1
    return -(-op.counts[share.cut] // share.grain), share.parts


def _touches(op: NativeCall, rows: tuple[int, int]) -> list[tuple[int, Touch]]:
    """(the owner of the memory, what happens to it) of each array."""
    share = op.share
    found = []
    written = {at % len(op.operands) for at in op.written}
    for at, ref in enumerate(op.operands):
        low, high = ref.span
        size, row, apart = high - low, 0, 0
        # Turned round, no part keeps to its rows.
        if share is not None and low == ref.offset:
            # Rows that are spread keep to each other as if they were not.
            apart = 0 if share.by[at] else share.apart[at]
            row = apart or share.by[at] * share.grain
            if size > row * (share.parts if apart else rows[0]):
                row = 0
        writes, starts = at in written, [low]
        if share is not None and row and apart:
            # Of each part by itself: parts of something else may lie between them.
            size -= row * (share.parts - 1)
            starts = [low + part * row for part in range(share.parts)]
        found += [(ref.buffer, Touch(a, a + size, row, rows, writes)) for a in starts]
    return found
