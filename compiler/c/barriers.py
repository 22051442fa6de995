"""Groups of calls between barriers.

Part i of a call needs no barrier if it reads only what part i of earlier calls wrote.
Such calls form a group; the threads synchronise at its end. A call that reads more (a
sum over the batch) belongs to a later group, and so do the calls that depend on it.
Other calls move in front of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from xpnet.compiler.c.call_table import NativeCall


class MemoryAccess(NamedTuple):
    """The bytes that a call reads or writes.

    Attributes:
        start, stop: addresses.
        row: bytes of a row, if each part accesses only its own rows; else 0.
        rows: (rows of the call, parts that they are divided into).
        writes: whether they are written.
    """

    start: int
    stop: int
    row: int
    rows: tuple[int, int]
    writes: bool

    def meets(self, other: "MemoryAccess") -> bool:
        """Whether their order matters."""
        written = self.writes or other.writes
        return written and self.start < other.stop and other.start < self.stop

    def keeps_to(self, other: "MemoryAccess") -> bool:
        """Whether part i of both accesses the same rows, for each i."""
        place = self.start, self.row, self.rows
        return bool(self.row) and place == (other.start, other.row, other.rows)


def barrier_groups(ops: Sequence[NativeCall]) -> list[list[NativeCall]]:
    """The calls group by group, in an order with the same results.

    A call joins the first group with as many parts behind all that it depends on.
    """
    groups: list[tuple[int, list[NativeCall]]] = []
    known: dict[int, list[tuple[int, MemoryAccess]]] = {}  # buffer -> (group, access)
    for op in ops:
        rows = _rows(op)
        own = _accesses(op, rows)
        first = 0
        for buffer, access in own:
            for at, other in known.get(buffer, ()):
                if at >= first and access.meets(other):
                    first = at if access.keeps_to(other) else at + 1
        parts = rows[1]
        for at in range(first, len(groups) if parts > 1 else first):
            if groups[at][0] == parts:
                break
        else:
            at = len(groups)
            groups.append((parts, []))
        groups[at][1].append(op)
        for buffer, access in own:
            known.setdefault(buffer, []).append((at, access))
    return [group for _, group in groups]


def _rows(op: NativeCall) -> tuple[int, int]:
    """(rows of a call, parts that they are divided into)."""
    share = op.share
    if share is None:
        return 1, 1
    return -(-op.counts[share.cut] // share.grain), share.parts


def _accesses(op: NativeCall, rows: tuple[int, int]) -> list[tuple[int, MemoryAccess]]:
    """(buffer, access) for each operand."""
    share = op.share
    found = []
    written = {at % len(op.operands) for at in op.written}
    for at, ref in enumerate(op.operands):
        low, high = ref.span
        size, row, apart = high - low, 0, 0
        # Turned round, no part keeps to its rows.
        if share is not None and low == ref.offset:
            # Padding between parts does not change which rows a part accesses.
            apart = 0 if share.by[at] else share.apart[at]
            row = apart or share.by[at] * share.grain
            if size > row * (share.parts if apart else rows[0]):
                row = 0
        writes, starts = at in written, [low]
        if share is not None and row and apart:
            # Each part by itself: parts of other arrays may lie between them.
            size -= row * (share.parts - 1)
            starts = [low + part * row for part in range(share.parts)]
        found += [
            (ref.buffer, MemoryAccess(a, a + size, row, rows, writes)) for a in starts
        ]
    return found
