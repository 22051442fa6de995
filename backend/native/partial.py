"""Sums over the batch that each part computes its share of: where, and who adds them.

The parts of all gradients lie as the gradients do, one beside the other. So the shares
of a whole model are added in one pass, which also looks whether the sums are finite.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xpnet.backend.crew import Crew
from xpnet.backend.native.share import share_elements
from xpnet.backend.native.table import Op, address
from xpnet.backend.trace import Array, base

GAP = 16  # elements: values that lie further apart may have something between them
LINE = 64  # bytes: what one part writes without disturbing another

Room = Callable[[tuple[int, ...], np.dtype[Any]], Array]


class Partial:
    """The memory of parts of sums.

    Args:
        crew: whose parts they are.
        room: gives an array of (shape, dtype) that nobody else uses.
    """

    def __init__(self, crew: Crew, room: Room) -> None:
        self._crew, self._room = crew, room
        self._shadows: dict[int, tuple[Array, Array]] = {}  # id -> (memory, its parts)
        self._taken: dict[int, list[tuple[int, int]]] = {}

    def of(self, out: Array) -> Array:
        """(threads, *out.shape): the parts of a sum that goes to `out`, contiguous.

        Taken for good: they are added when all calls around are done.
        """
        threads, owner = self._crew.threads, base(out)
        start = address(out) - address(owner)
        stop, taken = start + out.nbytes, self._taken.setdefault(id(owner), [])
        if any(a < stop and start < b for a, b in taken):  # a buffer in use again
            return self._room((threads, *out.shape), out.dtype)
        taken.append((start, stop))
        if id(owner) not in self._shadows:
            shadow = self._room((threads, owner.nbytes), np.dtype(np.uint8))
            shadow[...] = 0
            self._shadows[id(owner)] = owner, shadow
        parts = self._shadows[id(owner)][1][:, start:stop]
        return parts.view(out.dtype).reshape((threads, *out.shape))

    def sum(self, parts: Array, out: Array) -> Op:
        """What adds the parts."""
        return _sum(parts.reshape((len(parts), -1)), out, self._crew, self._room)


def _sum(parts: Array, out: Array, crew: Crew, room: Room) -> Op:
    flags = room((crew.threads, LINE // 8), np.dtype(np.float64))
    flags[...] = 0.0
    op = Op(
        f"xpnet_sum{8 * out.itemsize}",
        [parts, out, flags],
        [out.size, len(parts)],
        [parts.strides[0]],
        written=(1, 2),
    )
    by = [out.itemsize, out.itemsize, 0]
    op.share = share_elements(op.counts[:1], by, crew, apart=[0, 0, LINE])
    return op


def is_sum(op: Op) -> bool:
    """Whether it adds parts."""
    return op.name.startswith("xpnet_sum")


def unchecked(array: Array, ops: Sequence[Op]) -> list[Array]:
    """What of `array`, flat and contiguous, no sum among `ops` looks at last."""
    owner, ranges = base(array), []
    for op in ops:
        if is_sum(op) and base(op.arrays[1]) is owner:
            ranges.append((op.places[1], op.places[1] + op.arrays[1].nbytes))
        elif any(base(op.arrays[at]) is owner for at in op.written):
            return [array]
    if not ranges:
        return [array]
    flat = array.reshape(-1)
    start, width, found, at = address(flat), flat.itemsize, [], 0
    for first, stop in sorted(ranges):
        found.append(flat[at : (first - start) // width])
        at = (stop - start) // width
    return [part for part in (*found, flat[at:]) if part.size]


def joined(ops: Sequence[Op], crew: Crew) -> list[Op]:
    """The same calls, with one for the sums of values that lie beside each other.

    A sum waits until somebody touches the memory it goes to; its parts are nobody's.
    """
    found: list[Op] = []
    waiting: list[Op] = []
    for op in ops:
        if is_sum(op):
            waiting.append(op)
            continue
        if waiting:
            owners = {id(base(total.arrays[1])) for total in waiting}
            if any(id(base(array)) in owners for array in op.arrays):
                found += _in_one(waiting, crew)
                waiting = []
        found.append(op)
    return found + _in_one(waiting, crew)


def _in_one(sums: Iterable[Op], crew: Crew) -> list[Op]:
    """Neighbours among the sums as one, the padding between them with them."""
    found: list[list[Op]] = []
    for op in sorted(sums, key=lambda op: op.places[1]):
        if not (found and _follows(found[-1][-1], op)):
            found.append([])
        found[-1].append(op)
    return [ops[0] if len(ops) == 1 else _whole(ops, crew) for ops in found]


def _follows(one: Op, other: Op) -> bool:
    """Whether `other` lies behind `one`, its parts behind the parts."""
    (parts, out), (parts_, out_) = one.arrays[:2], other.arrays[:2]
    gap = other.places[1] - (one.places[1] + out.nbytes)
    return (
        one.function == other.function
        and base(parts) is base(parts_)
        and base(out) is base(out_)
        and parts.strides[0] == parts_.strides[0]
        and other.places[0] - one.places[0] == other.places[1] - one.places[1]
        and 0 <= gap < GAP * out.itemsize
    )


def _whole(ops: list[Op], crew: Crew) -> Op:
    (parts, out, _), last = ops[0].arrays, ops[-1]
    nbytes = last.places[1] + last.arrays[1].nbytes - ops[0].places[1]
    count = nbytes // out.itemsize

    def over(array: Array, shape: tuple[int, ...]) -> Array:
        memory = base(array)
        at = address(array) - address(memory)
        strides = (*array.strides[: len(shape) - 1], out.itemsize)
        return np.ndarray(shape, out.dtype, memory, at, strides)

    return _sum(over(parts, (len(parts), count)), over(out, (count,)), crew, np.empty)
