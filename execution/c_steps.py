"""Whole training steps in C: gather, gradients, loss, a look at both, update.

    for step in start .. stop - 1, for networks first, first + 1, ...

Where networks split, a few of them take all steps before the next few begin, so that
their parameters stay in the cache; threads take turns. Nothing is locked in the
meantime: Python goes on elsewhere.
"""

from collections.abc import Sequence
from math import prod
from typing import TypeGuard

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import address
from xpnet.compiler.buffers import BufferRef
from xpnet.compiler.c import Linker
from xpnet.compiler.c.call_table import CallTable, NativeCall
from xpnet.compiler.c.native import Native
from xpnet.compiler.c.partial_sums import watch
from xpnet.compiler.row_partition import ALONE, RowPartition, Share

NEEDED = ("gradients", "loss", "update")
ALONE_NEEDED = ("gradients", "update")
CALL, EACH = 5e-8, 1e-10  # seconds a call, and for each of its many alike things


class Steps:
    """Steps over batches of one size, as tables for C.

    Args:
        native: of the step's program.
        first: calls in front of each step (`take`, `copy`).
        grads: flat gradients, (n,) or (k, n).
        loss: where the program leaves it, (1, 1) or (k, 1, 1); None where it is not
            looked at.
        losses: where it is kept: (steps,) or (steps, k).
        row: the number of the first network.
    """

    def __init__(
        self,
        native: Native,
        first: Sequence[NativeCall],
        grads: Array,
        loss: Array | None = None,
        losses: Array | None = None,
        row: int = 0,
    ) -> None:
        self.native, self._row = native, row
        ops, stacked = native.ops, native.n_networks is not None
        before, looked_at = [*first, *ops["gradients"]], []
        if loss is not None and losses is not None:
            place = losses[0] if stacked else losses[:1]
            keep = copy(loss, place, stacked, (0, losses.strides[0]))
            before += [*ops["loss"], keep]
            looked_at = [loss]
        self._before, self._after = native.link(before), native.update
        watched = [*looked_at, *watch(grads, self._before.ops)]
        self._watched = np.array([_watched(x, stacked) for x in watched], np.int64)
        self._held = (loss, losses, grads)
        parts = (address(self._watched), len(self._watched))
        leg = [*_place(self._before), *parts, *_place(self._after), 0, row]
        self._leg, self._run = np.array(leg, np.int64), native.library.steps
        self._address = address(self._leg)
        self.shared = native.partition.threads > 1

    @property
    def seconds(self) -> float:
        """About what a step of all networks takes, before one has been timed."""
        done = [*self._before.ops, *self._after.ops]
        return CALL * len(done) + EACH * sum(prod(op.counts) for op in done)

    def run(self, start: int, stop: int, first: int = 0, networks: int = 1) -> int:
        """Take steps start .. stop - 1 of the networks first, first + 1, ...

        Returns:
            `stop`, or the first whose numbers are not finite, which had no update.
        """
        first -= self._row
        taken: int = self._run(self._address, first, networks, start, stop)
        return taken

    def read(self, op: NativeCall, source: Array) -> None:
        """Let `op`, a `take` in front of each step, gather from `source`."""
        op.point(0, source)
        self._before.point(op)

    def leg(self, steps: int) -> list[int]:
        """What `Epochs` reads of them, so many in an epoch."""
        return [*self._leg[:-2].tolist(), steps, self._row]

    def update(self, step: int, first: int, networks: int) -> None:
        """The update of a step that was stopped before it."""
        first -= self._row
        self.native.library.run(*_place(self._after), first, networks, step)


def whole(native: Native, grads: Array) -> Steps | None:
    """Gradients, a look at them, update; None where parts of it are not C."""
    if not all(name in native.ops for name in ALONE_NEEDED):
        return None
    steps = Steps(native, [], grads)
    native.tables.append(steps._before)  # it follows where x is read
    return steps


class Epochs:
    """Epochs in one call: the steps of each, batch size by batch size, and an end.

    Steps are counted through all epochs.

    Args:
        legs: (steps, how many of them an epoch has).
        rest: how often nothing is to be done then.
        closing: calls after each epoch; their arrays move from one to the next.
    """

    def __init__(
        self, legs: Sequence[tuple[Steps, int]], rest: int, closing: list[NativeCall]
    ) -> None:
        native = legs[0][0].native
        self._library, self._closing = native.library, native.link(closing)
        rows = [steps.leg(count) for steps, count in legs]
        rows.append([0] * 6 + [rest, 0])
        self._legs, self._held = np.array(rows, np.int64), legs

    @property
    def seconds(self) -> float:
        """Likewise, of an epoch."""
        return sum(steps.seconds * count for steps, count in self._held)

    def run(self, start: int, stop: int, first: int = 0, networks: int = 1) -> int:
        """Likewise."""
        of = (address(self._legs), len(self._legs), *_place(self._closing))
        taken: int = self._library.epochs(*of, first, networks, start, stop)
        return taken

    def close(self, epoch: int, first: int, networks: int) -> None:
        """The calls after an epoch, where its last step was taken elsewhere."""
        self._library.run(*_place(self._closing), first, networks, epoch)


def squaring(weights: Array, squares: Array, networks: int | None) -> NativeCall | None:
    """Σ W² as a call of C, epoch by epoch; None where C cannot.

    Args:
        weights: (n,), or (k, n) of a stack.
        squares: (epochs, 1, 1), or (epochs, k, 1, 1).
        networks: of the stack.
    """
    linker, place = Linker(networks, lambda: 1), squares[0]
    op = linker.product(weights[..., None, :], weights[..., :, None], place)
    if op is not None:
        op.step[-1] = place.nbytes
    return op


def possible(native: Native | None) -> TypeGuard[Native]:
    """Whether a step is calls of C from end to end."""
    return native is not None and all(name in native.ops for name in NEEDED)


def take(
    rows: Array,
    index: Array,
    out: Array,
    which: Array | None,
    step: int,
    partition: RowPartition = ALONE,
) -> NativeCall | None:
    """out = rows[index]; None where it is not a copy of whole rows.

    Args:
        rows: (samples, ...).
        index: (batch,) int64, or lists of them (lists, batch), of step 0.
        out: (batch, ...) or (k, batch, ...).
        which: the list of each network, (k,) int64; None for one network alone.
        step: bytes from one step's index to the next.
        partition: the threads that share it.
    """
    stacked = which is not None
    lists = np.zeros(1, np.int64) if which is None else which
    fits = (
        type(rows) is np.ndarray
        and rows.dtype == out.dtype
        and rows.flags.c_contiguous
        and out[0].flags.c_contiguous
        and out.shape[: 1 + stacked] == (*lists.shape[:stacked], index.shape[-1])
        and index.strides[-1] == index.itemsize
    )
    if not fits:
        return None
    width = rows.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    lead = [index.strides[0], out.strides[0]] if stacked else [0, 0]
    made = NativeCall(
        "xpnet_take",
        [rows, index, lists, out],
        [len(lists), index.shape[-1], width],
        lead,
        unit=int(stacked),
        member=[0, 0, lists.itemsize, lead[1]] if stacked else [],
        step=[0, step, 0, 0],
    )
    if partition.threads > 1 and not stacked:
        by = [0, index.itemsize, 0, width]
        made.share = Share(partition.threads, 1, 1, by, [0] * len(by))
    return made


def copy(source: Array, out: Array, stacked: bool, step: tuple[int, int]) -> NativeCall:
    """out = source, contiguous arrays (of each network); step: bytes of each a step."""
    count = len(source) if stacked else 1
    lead = [source.strides[0], out.strides[0]] if stacked else [0, 0]
    return NativeCall(
        "xpnet_copy",
        [source, out],
        [count, source.nbytes // count],
        lead,
        unit=int(stacked),
        member=list(lead),
        step=list(step),
    )


def _place(table: CallTable) -> tuple[int, int]:
    return table.address, table.count


def _watched(array: Array, stacked: bool) -> tuple[int, int, int, int]:
    """A row of `Watched` in runtime.c."""
    ref = BufferRef.of(array)
    count, stride = (ref.shape[0], ref.strides[0]) if stacked else (1, 0)
    return ref.offset, stride, ref.size // count, ref.itemsize
