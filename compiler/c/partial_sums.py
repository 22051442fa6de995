"""Partial sums over the batch, one of each part, and the kernel that adds them.

The partial sums of all gradients lie as the gradients do, one beside the other. So
those of a whole model are added in one pass, which also checks that they are finite.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler import tuning
from xpnet.compiler.buffers import BufferRef, Span, meet
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.row_partition import RowPartition, share_elements
from xpnet.trace.array import base

# Bytes: two parts that write to one line share it falsely.
CACHE_LINE = 64

Room = Callable[[tuple[int, ...], np.dtype[Any]], Array]


class Partial:
    """The memory of parts of sums.

    Args:
        partition: how calls are divided.
        room: gives an array of (shape, dtype) of its own memory.
    """

    def __init__(self, partition: RowPartition, room: Room) -> None:
        self._partition, self._room = partition, room
        # id -> (memory, its parts, what of it has been given out)
        self._shadows: dict[int, tuple[Array, Array, list[Span]]] = {}

    def of(self, out: Array) -> Array:
        """(threads, *out.shape): the parts of a sum that goes to `out`, contiguous.

        They are never reused: they are added when all calls of the group are done.
        """
        threads, owner = self._partition.threads, base(out)
        # Parts have the offsets of the sums within cache lines.
        askew = address(owner) % CACHE_LINE
        if id(owner) not in self._shadows:
            lines = -(-(askew + owner.nbytes) // CACHE_LINE)
            nbytes = lines * CACHE_LINE + tuning.PADDING_BYTES
            shadow = self._room((threads, nbytes), np.dtype(np.uint8))
            shadow[...] = 0
            self._shadows[id(owner)] = owner, shadow, []
        _, shadow, taken = self._shadows[id(owner)]
        start = address(out) - address(owner) + askew
        own = start, start + out.nbytes
        if any(meet(own, other) for other in taken):  # a buffer that is reused
            return self._room((threads, *out.shape), out.dtype)
        taken.append(own)
        parts = shadow[:, own[0] : own[1]]
        return parts.view(out.dtype).reshape((threads, *out.shape))

    def sum(self, parts: Array, out: Array) -> NativeCall:
        """What adds the parts."""
        return _sum(parts, out, self._partition, self._room)


def _sum(
    parts: Array | BufferRef,
    out: Array | BufferRef,
    partition: RowPartition,
    room: Room,
) -> NativeCall:
    """The same for arrays, or references to them."""
    flags = room((partition.threads, CACHE_LINE // 8), np.dtype(np.float64))
    flags[...] = 0.0
    op = NativeCall(
        f"xpnet_sum{8 * out.itemsize}",
        [parts, out, flags],
        [out.size, parts.shape[0]],
        [parts.strides[0]],
        written=(1, 2),
    )
    by = [out.itemsize, out.itemsize, 0]
    op.share = share_elements(op.counts[:1], by, partition, apart=[0, 0, CACHE_LINE])
    return op


def is_sum(op: NativeCall) -> bool:
    """Whether `op` adds partial sums."""
    return op.function.startswith("xpnet_sum")


def watch(grads: Array, ops: Sequence[NativeCall]) -> list[Array]:
    """Arrays that are finite if and only if the flat `grads` are, when `ops` are done.

    These are the flags of the sums that write `grads`, and the rest of `grads`; `grads`
    itself if another call writes there, or two sums the same place.
    """
    owner, covered, flags = id(base(grads)), [], []
    for op in ops:
        for at in op.written:
            if op.operands[at].buffer != owner:
                continue
            if at != 1 or not is_sum(op):
                return [grads]
            covered.append(op.operands[1].span)
            flags.append(op.arrays[2])
    covered.sort()
    if any(meet(one, other) for one, other in pairwise(covered)):
        return [grads]
    flat = grads.reshape(-1)
    start, width, rest, at = address(flat), flat.itemsize, [], 0
    for first, stop in covered:
        rest.append(flat[at : (first - start) // width])
        at = (stop - start) // width
    return [*flags, *(part for part in (*rest, flat[at:]) if part.size)]


def joined(ops: Sequence[NativeCall], partition: RowPartition) -> list[NativeCall]:
    """The same calls, with one for the sums of neighbouring values.

    A sum comes just before the next call that accesses its result, or at the end. No
    other call reads its parts.
    """
    found: list[NativeCall] = []
    waiting: list[NativeCall] = []
    for op in ops:
        if waiting and _disturbs(op, waiting):
            found += _in_one(waiting, ops, partition)
            waiting = []
        (waiting if is_sum(op) else found).append(op)
    return found + _in_one(waiting, ops, partition)


def _disturbs(op: NativeCall, waiting: Sequence[NativeCall]) -> bool:
    if is_sum(op):  # of other parts, perhaps to the same place
        return any(op.operands[1].meets(w.operands[1]) for w in waiting)
    touched = {ref.buffer for ref in op.operands}
    return any(w.operands[1].buffer in touched for w in waiting)


def _in_one(
    sums: Iterable[NativeCall], ops: Sequence[NativeCall], partition: RowPartition
) -> list[NativeCall]:
    """Neighbours among the sums as one, the padding between them with them."""
    found: list[list[NativeCall]] = []
    for op in sorted(sums, key=lambda op: op.operands[1].offset):
        if not (found and _follows(found[-1][-1], op, ops)):
            found.append([])
        found[-1].append(op)
    return [row[0] if len(row) == 1 else _whole(row, partition) for row in found]


def _follows(one: NativeCall, other: NativeCall, ops: Sequence[NativeCall]) -> bool:
    """Whether `other` follows `one` in memory, and its parts follow the parts, with
    only padding between, which none of `ops` accesses.
    """
    parts, out, parts_, out_ = *one.operands[:2], *other.operands[:2]
    between = out.offset + out.nbytes, out_.offset
    beside = (
        one.function == other.function
        and (parts.buffer, out.buffer) == (parts_.buffer, out_.buffer)
        and parts.strides[0] == parts_.strides[0]
        and parts_.offset - parts.offset == out_.offset - out.offset
        and 0 <= between[1] - between[0] < tuning.MERGE_GAP_ELEMENTS * out.itemsize
    )
    if not beside or between[0] == between[1]:
        return beside
    return not any(
        ref.buffer == out.buffer and meet(ref.span, between)
        for op in ops
        for ref in op.operands
    )


def _whole(ops: list[NativeCall], partition: RowPartition) -> NativeCall:
    (parts, out), last = ops[0].operands[:2], ops[-1].operands[1]
    count = (last.offset + last.nbytes - out.offset) // out.itemsize
    both = (*parts.shape[:1], count), (parts.strides[0], out.itemsize)
    parts = parts._replace(shape=both[0], strides=both[1])
    out = out._replace(shape=(count,), strides=(out.itemsize,))
    return _sum(parts, out, partition, np.empty)
