"""Whole training steps in C: gather, gradients, loss, a look at both, update.

    for step in start .. stop - 1, for the networks first .. first + members - 1

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
from xpnet.backend.blas import one_thread
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
        native: of the step's program; `possible(native)`.
        first: calls in front of each step (`take`, `copy`).
        loss: where the program leaves it, (1, 1) or (k, 1, 1).
        losses: where it is kept: (steps,) or (steps, k).
        grads: flat gradients, (n,) or (k, n).
        row: the number of the first network.
    """

    def __init__(
        self,
        native: Native,
        first: Sequence[NativeCall],
        loss: Array,
        losses: Array,
        grads: Array,
        row: int = 0,
    ) -> None:
        self.native, self._row = native, row
        ops, stacked = native.ops, native.n_networks is not None
        place = losses[0] if stacked else losses[:1]
        keep = copy(loss, place, stacked, (0, losses.strides[0]))
        self._before = native.link([*first, *ops["gradients"], *ops["loss"], keep])
        self._after = native.link(ops["update"])
        self._held = (loss, losses, grads)
        watched = [loss, *watch(grads, self._before.ops)]
        self._watched = np.array([_watched(x, stacked) for x in watched], np.int64)
        self._leg = _leg(self._before, self._watched, self._after)

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
        of = (address(self._leg), first - self._row, networks)
        taken: int = self.native.library.steps(*of, start, stop)
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


class Whole:
    """One step of one network in C: gradients, a look at them, update.

    Args:
        native: of the step's program, whose gradients and update are calls of C.
        grads: flat gradients, (n,).
    """

    def __init__(self, native: Native, grads: Array) -> None:
        self._native, self._grads = native, grads
        before, after = (native.link(native.ops[name]) for name in ALONE_NEEDED)
        native.tables += [before, after]  # they follow where x is read in place
        watched = watch(grads, before.ops)
        self._watched = np.array([_watched(x, False) for x in watched], np.int64)
        self._leg = _leg(before, self._watched, after)
        self._address = address(self._leg)

    def run(self) -> bool:
        """Take it; False where the gradients are not finite, and had no update."""
        with one_thread(self._native.partition.threads > 1):
            taken: int = self._native.library.steps(self._address, 0, 1, 0, 1)
        return taken == 1


def whole(native: Native, grads: Array) -> Whole | None:
    """The step as one call; None where parts of it are not C."""
    if not all(name in native.ops for name in ALONE_NEEDED):
        return None
    return Whole(native, grads)


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
        self._run, self._closing = native.library.epochs, native.link(closing)
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
        taken: int = self._run(*of, first, networks, start, stop)
        return taken


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
    crew: RowPartition = ALONE,
) -> NativeCall | None:
    """out = rows[index]; None where it is not a copy of whole rows.

    Args:
        rows: (samples, ...).
        index: (batch,) int64, or lists of them (lists, batch), of step 0.
        out: (batch, ...) or (k, batch, ...).
        which: the list of each network, (k,) int64; None for one network alone.
        step: bytes from one step's index to the next.
        crew: the threads that share it.
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
    if crew.threads > 1 and not stacked:
        by = [0, index.itemsize, 0, width]
        made.share = Share(crew.threads, 1, 1, by, [0] * len(by))
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


def _leg(before: CallTable, watched: Array, after: CallTable) -> Array:
    """A `Leg` of runtime.c, but for its last numbers."""
    parts = (address(watched), len(watched))
    return np.array([*_place(before), *parts, *_place(after), 0, 0], np.int64)


def _place(table: CallTable) -> tuple[int, int]:
    return table.address, table.count


def _watched(array: Array, stacked: bool) -> tuple[int, int, int, int]:
    """A row of `Watched` in runtime.c."""
    ref = BufferRef.of(array)
    count, stride = (ref.shape[0], ref.strides[0]) if stacked else (1, 0)
    return ref.offset, stride, ref.size // count, ref.itemsize
