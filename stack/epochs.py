"""Several epochs of a stack per call.

An epoch of many small networks takes less time than Python needs to draw their orders
and to write a row of each history, and threads would wait for the slowest at each epoch
end. So where no callback looks at the networks between epochs, several are prepared
together and threads take blocks of networks from a queue: a block takes its epochs
without the others, and the histories are written at the end. That changes no number.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.compiler import tuning
from xpnet.execution import c_steps
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.network_blocks import NetworkBlock, balanced, cut
from xpnet.execution.steps import StepBlock
from xpnet.stack.group import Epoch, NetworkGroup
from xpnet.training.callbacks import max_epochs_between_calls


class EpochBlock:
    """Epochs of a group, several at a time; their steps are counted through.

    Args:
        group: on the CPU.
        room: for how many epochs.
        threads: that share the networks.
    """

    def __init__(self, group: NetworkGroup, room: int, threads: int) -> None:
        self._group, self._threads = group, threads
        self._room = min(room, tuning.MAX_EPOCHS_PER_BLOCK)
        self._blocks: list[StepBlock] = []
        self._steps: list[c_steps.Steps | None] = []
        self._epochs: list[tuple[range, int, c_steps.Epochs]] = []
        self._watched = any(map(attrgetter("callbacks"), group.networks))
        self._which = np.zeros(len(group.networks), np.int64)
        for at, rows in enumerate(group.same_order):
            self._which[rows] = at

    def of(self, left: int, seconds: float) -> int:
        """How many of the `left` epochs are to be taken together now.

        Args:
            seconds: of an epoch, about; 0 where that is not known.
        """
        fit = int(tuning.STACK_BLOCK_SECONDS / seconds) if seconds else 1
        few = min(left, self._room, fit)
        for network in self._group.networks if self._watched else ():
            if not network.frozen:
                few = max_epochs_between_calls(network.callbacks, network.trainer, few)
        return few if few > 1 and self._ready() else 1

    def _ready(self) -> bool:
        """Whether every step is calls of C, of networks that can take it alone."""
        if not self._group.leaves_out:
            return False
        if not self._blocks:
            self._blocks = self._made()
        found = [block.in_c for block in self._blocks]
        if found != self._steps:
            self._steps = found
            self._epochs = self._linked()
        return bool(self._epochs)

    def _made(self) -> list[StepBlock]:
        """The steps of an epoch, part by part, with room for several epochs."""
        group, k = self._group, len(self._which)
        steps, size = self._room * len(group.plan), group.batch_size
        first, dtype = group.parameters.trainers[0], group.parameters.buffers.dtype
        self._index = np.zeros((len(group.same_order), steps, size), np.int64)
        weighted = (k, steps, size) if group.w is not None else (0, 0, 0)
        self._weighted = np.zeros(weighted, np.int64)
        self._table = np.empty((steps, k, *first.rule.numbers.shape), dtype)
        self._losses = np.zeros((steps, k), dtype)
        self._squares = np.zeros((self._room, k, 1, 1), dtype)
        arrays = (self._which, self._weighted, self._table, self._losses)
        return [
            group.step_block(*group.step(part), self._index, *arrays)
            for part in group.parts
        ]

    def _linked(self) -> list[tuple[range, int, c_steps.Epochs]]:
        """(rows, how many of them at a time, their epochs): rows that take the same
        steps; nothing where Σ W² is to be noted and is not a call of C.
        """
        group, closing, found = self._group, [], []
        if self._watched:
            buffers = group.parameters.buffers
            weights = buffers.params[:, : buffers.layout.penalized]
            square = c_steps.squaring(weights, self._squares, len(weights))
            if square is None:
                return []
            closing = [square]
        # No larger than what shares the work evenly: more would fill the caches.
        sizes = [balanced(len(b.rows), b.most, self._threads) for b in self._blocks]
        counts = group.parts.values()
        legs = list(zip(self._blocks, sizes, self._steps, counts, strict=True))
        cuts = {at for one in self._blocks for at in (one.rows.start, one.rows.stop)}
        for start, stop in pairwise(sorted(cuts)):
            own = [leg for leg in legs if start in leg[0].rows]
            taken = [(steps, n) for *_, steps, n in own if steps is not None]
            rest = len(group.plan) - sum(n for _, n in taken)
            epochs = c_steps.Epochs(taken, rest, closing)
            found.append((range(start, stop), min(leg[1] for leg in own), epochs))
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
            squares = self._squares[epoch - 1].reshape(-1).tolist() if telling else None
            for i, trainer in trainers.items():
                taken = (epoch, epoch * steps[i])
                epochs, done = min(taken, ended.get(i, taken))
                trainer.steps_done = before[i][0] + done
                trainer.epochs_done = before[i][1] + epochs
                trainer.square_then = None if squares is None else squares[i]

        self._prepare(count)
        each, done = len(group.plan), 0
        blocks = [
            NetworkBlock(epochs.run, networks, close=epochs.close)
            for rows, most, epochs in self._epochs
            for networks in cut([i for i in training if i in rows], most, self._threads)
        ]
        turn = each * max(1, int(tuning.TURN_SECONDS / seconds))
        try:
            how = (count * each, turn, self._table, interrupt)
            reached, ended = group.run(blocks, *how)
            done = reached // each
            seconds = (time.perf_counter() - began) / done
            means = group.means(*self._read(done))
            for epoch in range(done):
                reach(epoch + 1, self._watched)
                first, last = epoch == 0, epoch == done - 1
                yield Epoch(
                    means[epoch],
                    group.counts,
                    each if interrupt.asked and last else None,
                    [i for i in training if i not in ended or ended[i][0] >= epoch],
                    {i for i, (epochs, _) in ended.items() if epochs == epoch},
                    seconds,
                    first,
                    last,
                )
        finally:  # also after a second Ctrl-C, or an error in a callback
            reach(done or min(block.reached for block in blocks) // each, False)

    def _prepare(self, count: int) -> None:
        """The orders of the samples and the numbers of the steps."""
        group, each = self._group, len(self._group.plan)
        orders = self._index.reshape((len(self._index), self._room, -1))
        for order, rows in zip(orders, group.orders(count), strict=True):
            order[:count, : rows.shape[1]] = rows
        table = self._table.reshape((self._room, each, *self._table.shape[1:]))
        steps = (count * group.steps).tolist()
        for networks, numbers in group.numbers.shared(steps, group.frozen):
            epochs = numbers.reshape((count, -1, 1, numbers.shape[-1]))
            table[:count, : epochs.shape[1], networks] = epochs
        if group.w is not None:
            taken = slice(count * each)
            index = self._index[self._which, taken]
            self._weighted[:, taken] = index + group.blocks[:, :, None]

    def _read(self, count: int) -> tuple[NDArray, NDArray]:
        """(losses (epochs, steps, k), weights of the batches (epochs, k, steps))."""
        group, each = self._group, len(self._group.plan)
        losses = self._losses[: count * each].reshape((count, each, -1))
        if group.w is None:
            same = group.weights(None)
            return losses, np.broadcast_to(same, (count, *same.shape))
        index = self._index[self._which, : count * each]
        index = index.reshape((len(index), count, each, -1))
        return losses, np.stack([group.weights(index[:, i]) for i in range(count)])
