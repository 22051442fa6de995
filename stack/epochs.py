"""Several epochs of a stack per call.

An epoch of many small networks takes less time than Python needs to draw their orders
and to write a row of each history, and threads would wait for the slowest at each epoch
end. So where no callback looks at the networks between epochs, several are prepared
together and threads take blocks of networks from a queue: a block takes its epochs
without the others, and the histories are written at the end. That changes no number.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import pairwise
from operator import attrgetter
from threading import Lock

import numpy as np

from xpnet.execution.interrupt import Interrupt
from xpnet.execution.network_blocks import balanced, cut, in_turns
from xpnet.execution.step import TrainingStep
from xpnet.stack.blocks import Closing, NetworkBlock, StepRange
from xpnet.stack.divergence import remove_diverged
from xpnet.stack.group import Epoch, NetworkGroup
from xpnet.stack.layout import Values
from xpnet.training.callbacks import max_epochs_between_calls
from xpnet.training.epochs import squaring

SPAN = 0.25  # seconds that epochs taken together last, about
INTERRUPT_CHECK_S = 0.01  # seconds between two looks at Ctrl-C, about
MOST = 1024  # epochs together


class EpochBlock:
    """Epochs of a group, several at a time.

    Args:
        group: on the CPU.
        room: for how many epochs.
        pool, threads: see `NetworkBlocks.run`.
    """

    def __init__(
        self, group: NetworkGroup, room: int, pool: Executor | None, threads: int
    ) -> None:
        self._group, self._room = group, min(room, MOST)
        self._pool, self._threads = pool, threads
        self._ranges: list[StepRange] = []
        self._closing: Closing | None = None
        self._watched = any(map(attrgetter("callbacks"), group.networks))
        self._squares = np.zeros((0, len(group.networks)))
        self._which = np.zeros(len(group.networks), np.int64)
        for at, rows in enumerate(group.same_order):
            self._which[rows] = at

    def of(self, left: int, seconds: float) -> int:
        """How many of the `left` epochs are to be taken together now.

        Args:
            seconds: of an epoch, about; 0 where that is not known.
        """
        few = min(left, self._room, int(SPAN / seconds)) if seconds else 1
        for network in self._group.networks if self._watched else ():
            if not network.frozen:
                few = max_epochs_between_calls(network.callbacks, network.trainer, few)
        return few if few > 1 and self._ready() else 1

    def _ready(self) -> bool:
        """Whether every step is calls of C."""
        if not (self._ranges and all(step_range.linked for step_range in self._ranges)):
            self._ranges = self._made()
            if self._ranges and self._watched:
                self._closing = self._squaring()
                self._ranges = self._ranges if self._closing is not None else []
        return bool(self._ranges)

    def _squaring(self) -> Closing | None:
        """What notes Σ W² of each network at the end of an epoch."""
        parameters, native_ = self._group.parameters, self._ranges[0].steps.native
        weights = parameters.buffers.params[:, : parameters.buffers.layout.penalized]
        k = len(weights)
        squares = np.zeros((self._room, k, 1, 1), weights.dtype)
        op = squaring(weights, squares, k)
        if op is None:
            return None
        table, self._squares = native_.link([op]), squares.reshape((-1, k))

        def close(epoch: int, first: int, count: int) -> None:
            native_.library.run(table.address, table.count, first, count, epoch)

        return close

    def _made(self) -> list[StepRange]:
        """The ranges of an epoch; none where some of their steps are not calls of C."""
        group, room, found = self._group, self._room, []
        parts = [part for parts in group.plan for part in parts]
        where = [i for i, parts in enumerate(group.plan) for _ in parts]
        names = group.parameters.trainers[0].rule.numbers.shape
        dtype = group.parameters.buffers.dtype
        for part, count in Counter(parts).items():
            start, stop, size = part
            (models, step), k = group.step(part), stop - start
            if not _splits(step, k):
                return []
            steps = room * count
            index = np.empty((len(group.same_order), steps, size), np.int64)
            weights = (len(self._which), steps, size) if group.w is not None else (0,)
            weighted = np.empty(weights, np.int64)
            table = np.empty((steps, k, *names), dtype)
            losses = np.zeros((steps, k), dtype)
            lists = index, self._which, weighted
            blocks = group.linked(step, models, *lists, table, losses)
            if blocks is None:
                return []
            # No larger than what shares the work evenly: more would fill the caches.
            most = balanced(k, blocks.most, self._threads)
            arrays = (index, weighted, table, losses)
            first = where[parts.index(part)]
            found.append(
                StepRange(models, step, first, count, *arrays, blocks.steps, most)
            )
        return found

    def run(self, count: int, seconds: float, interrupt: Interrupt) -> Iterator[Epoch]:
        """Take `count` epochs, of about `seconds` each, and fewer after Ctrl-C; what
        each gave, one by one.

        The trainers' counters are those of the epoch that is yielded.
        """
        group, began = self._group, time.perf_counter()
        training, steps = group.training, group.steps.tolist()
        trainers = {i: group.networks[i].trainer for i in training}
        before = {i: (t.steps_done, t.epochs_done) for i, t in trainers.items()}
        ended: dict[int, tuple[int, int]] = {}  # (epochs, steps) before it diverged

        def reach(epoch: int, telling: bool) -> None:
            squares = self._squares[epoch - 1].tolist() if telling else None
            for i, trainer in trainers.items():
                taken = (epoch, epoch * steps[i])
                epochs, done = min(taken, ended.get(i, taken))
                trainer.steps_done = before[i][0] + done
                trainer.epochs_done = before[i][1] + epochs
                trainer.square_then = None if squares is None else squares[i]

        self._prepare(count)
        blocks, done = self._blocks(), 0
        some = max(1, int(INTERRUPT_CHECK_S / seconds))
        try:
            done = self._take(blocks, count, some, interrupt)
            while stopped := [block for block in blocks if block.epoch < done]:
                for block in stopped:
                    ended |= self._remove_diverged(block)
                self._take(stopped, done, some)
            seconds = (time.perf_counter() - began) / done
            means = group.means(*_read(group, self._ranges, self._which, done))
            for epoch in range(done):
                reach(epoch + 1, self._watched)
                first, last = epoch == 0, epoch == done - 1
                yield Epoch(
                    means[epoch],
                    group.counts,
                    len(group.plan) if interrupt.asked and last else None,
                    [i for i in training if i not in ended or ended[i][0] >= epoch],
                    {i for i, (epochs, _) in ended.items() if epochs == epoch},
                    seconds,
                    first,
                    last,
                )
        finally:  # also after a second Ctrl-C, or an error in a callback
            reach(done or min(block.epoch for block in blocks), False)

    def _prepare(self, count: int) -> None:
        """The orders of the samples and the numbers of the steps."""
        group, size = self._group, self._group.batch_size
        for at, orders in enumerate(group.orders(count)):
            for step_range, _ in self._of(group.same_order[at]):
                begin = step_range.first * size
                end = begin + step_range.count * step_range.index.shape[2]
                step_range.index[at, : count * step_range.count] = orders[
                    :, begin:end
                ].reshape((count * step_range.count, -1))
        steps = (count * group.steps).tolist()
        frozen = group.frozen
        for networks, numbers in group.numbers.shared(steps, frozen):
            epochs = numbers.reshape((count, -1, numbers.shape[-1]))
            for step_range, own in self._of(networks):
                part = epochs[:, step_range.first : step_range.first + step_range.count]
                step_range.table[: count * step_range.count, own] = part.reshape(
                    (count * step_range.count, 1, -1)
                )
        for step_range in self._ranges if group.w is not None else ():
            taken, rows = slice(count * step_range.count), step_range.models.rows
            index = step_range.index[self._which[rows], taken]
            step_range.weighted[rows, taken] = index + group.blocks[rows, :, None]

    def _of(self, networks: Sequence[int]) -> Iterator[tuple[StepRange, list[int]]]:
        """(steps, those of these networks that take them, as `models` counts them)."""
        for step_range in self._ranges:
            start, stop = step_range.models.rows.start, step_range.models.rows.stop
            own = [i - start for i in networks if start <= i < stop]
            if own:
                yield step_range, own

    def _blocks(self) -> list[NetworkBlock]:
        """The networks that train, a few at a time: they take the same ranges."""
        training = self._group.training
        rows = [step_range.models.rows for step_range in self._ranges]
        cuts = sorted({row for one in rows for row in (one.start, one.stop)})
        blocks = []
        for start, stop in pairwise(cuts):
            ranges = [
                step_range
                for step_range in self._ranges
                if step_range.models.rows.start <= start < step_range.models.rows.stop
            ]
            most = min(step_range.most for step_range in ranges)
            own = [i for i in training if start <= i < stop]
            blocks += [
                NetworkBlock(ranges, some.start, len(some), self._closing)
                for some in cut(own, most, self._threads)
            ]
        return blocks

    def _take(
        self,
        blocks: Sequence[NetworkBlock],
        epochs: int,
        some: int,
        interrupt: Interrupt | None = None,
    ) -> int:
        """Take `epochs` epochs; how many all have taken, but where a step went wrong.

        A turn has `some` epochs. After Ctrl-C only epochs that have begun are taken.
        """
        left, lock = deque(blocks), Lock()
        end, begun = epochs, 1

        def next_turn() -> tuple[NetworkBlock, int] | None:
            nonlocal end, begun
            with lock:
                if interrupt is not None and interrupt.asked:
                    end = min(end, begun)
                while left:
                    block = left.popleft()
                    if block.epoch < end:
                        stop = min(block.epoch + some, end)
                        begun = max(begun, stop)
                        return block, stop
                return None

        def work() -> None:
            while turn := next_turn():
                block, stop = turn
                if block.run(stop):
                    left.append(block)

        in_turns(work, left, self._pool, self._threads)
        return end

    def _remove_diverged(self, block: NetworkBlock) -> dict[int, tuple[int, int]]:
        """Freeze the networks of a block whose step went wrong, and let it go on."""
        group, step_range, epoch = self._group, block.step_range, block.epoch
        taken = epoch * group.steps + block.batch
        ended = remove_diverged(
            group, step_range.models, step_range.step, block.among, taken
        )
        for i in ended:
            for other, (at,) in self._of([i]):
                other.table[:, at] = group.numbers.idle(i)
        block.update()
        return {i: (epoch, taken) for i, taken in ended.items()}


def _read(
    group: NetworkGroup, ranges: Sequence[StepRange], which: Values, count: int
) -> tuple[Values, Values]:
    """(losses (epochs, steps, k), weights of the batches (epochs, k, steps))."""
    k, steps = len(group.networks), group.plan
    losses = np.zeros((count, len(steps), k), group.parameters.buffers.dtype)
    weighted = group.w is not None
    shape = (count if weighted else 0, k, len(steps), group.batch_size)
    index = np.zeros(shape, np.int64)
    for step_range in ranges:
        rows, taken = step_range.models.rows, count * step_range.count
        part = slice(step_range.first, step_range.first + step_range.count)
        losses[:, part, rows] = step_range.losses[:taken].reshape(
            (count, step_range.count, -1)
        )
        if weighted:
            size = step_range.index.shape[-1]
            orders = step_range.index[which[rows], :taken]
            orders = orders.reshape((-1, count, step_range.count, size))
            index[:, rows, part, :size] = np.swapaxes(orders, 0, 1)
    if weighted:
        return losses, np.stack([group.weights(one) for one in index])
    each = group.weights(None)
    return losses, np.broadcast_to(each, (count, *each.shape))


def _splits(step: TrainingStep, networks: int) -> bool:
    """Whether a step is calls of C, and its networks can take it one by one."""
    native = None if step.program is None else step.program.native
    return native is not None and (native.splits or networks == 1)
