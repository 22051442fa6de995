"""Many short epochs in one call of C.

An epoch of a small network takes less time than Python needs to draw the next order and
to write a row of the history. So several are prepared together, run in one call, and
reported one by one. That changes no number: it is done where nothing looks at the
network between two epochs (see `Callback.patient_for`).
"""

import time
from collections.abc import Callable
from typing import NoReturn

import numpy as np

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.common.arrays import NDArray
from xpnet.compiler import c as native
from xpnet.compiler.c.call_table import NativeCall
from xpnet.execution import c_steps
from xpnet.training.data import Orders, mean_loss
from xpnet.training.state import TrainingState
from xpnet.training.steps import SPAN, StepBlock, batches_of, set_orders, table

ROOM = 1 << 22  # bytes for the orders of the samples and the numbers of the steps
MOST = 1024  # epochs a call


def room(samples: int, steps: int, numbers: int, epochs: int) -> int:
    """How many epochs are prepared at a time, of so many samples and steps each."""
    return max(1, min(epochs, MOST, ROOM // (8 * (samples + steps * (numbers + 1)))))


def squaring(weights: Array, squares: Array, members: int | None) -> NativeCall | None:
    """Σ W² as a call of C, epoch by epoch; None where C cannot.

    Args:
        weights: (n,), or (k, n) of a stack.
        squares: (epochs, 1, 1), or (epochs, k, 1, 1).
        members: of the stack.
    """
    linker, place = native.Linker(members, lambda: 1), squares[0]
    op = linker.product(weights[..., None, :], weights[..., :, None], place)
    if op is not None:
        op.step[-1] = place.nbytes
    return op


class EpochBlock:
    """Epochs of a training, several at a time.

    Args:
        state: of the training, on the CPU.
        blocks: the steps of an epoch, with room for several.
        orders: of the samples.
        batch_size: samples a step.
        room: how many epochs at most.
    """

    def __init__(
        self,
        state: TrainingState,
        blocks: list[StepBlock],
        orders: Orders,
        batch_size: int,
        room: int,
    ) -> None:
        self._state, self._blocks, self._orders = state, blocks, orders
        self._samples, self._batch_size = blocks[0].samples, batch_size
        self._steps = sum(block.count for block in blocks)
        self.room = room
        self._squares = np.zeros((room, 1, 1), state.dtype)
        self._rows = np.empty((room, self._samples.count), np.int64)
        self._linked: tuple[list[c_steps.Steps], c_steps.Epochs] | None = None
        self.seconds: float | None = None  # of an epoch, about, once one has been taken

    def ahead(self, most: int) -> int:
        """How many epochs, `most` at most, are to be run together now."""
        run = self._in_c() if most > 1 else None
        if run is None:
            return 1
        seconds = run.seconds if self.seconds is None else self.seconds
        return max(1, min(most, int(SPAN / max(seconds, 1e-9))))

    def _in_c(self) -> c_steps.Epochs | None:
        """The epochs in C; None where their steps are not."""
        steps = [block.in_c() for block in self._blocks]
        found = [one for one in steps if one is not None]
        if len(found) < len(steps):
            return None
        if self._linked is None or self._linked[0] != found:
            weights = self._state.penalized_weights()
            square = squaring(weights, self._squares, None)
            if square is None:
                return None
            counts = [block.count for block in self._blocks]
            legs = list(zip(found, counts, strict=True))
            self._linked = found, c_steps.Epochs(legs, [square])
        return self._linked[1]

    def run(self, count: int, finish: Callable[[float, float], None]) -> int:
        """Take `count` epochs, or as many as have rates; how many.

        Args:
            count: as `ahead` says.
            finish: called for each in turn with its mean loss and its seconds, when
                all have been taken; the state's counters and Σ W² are that epoch's.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        state, run = self._state, self._in_c()
        assert run is not None
        began, before = time.perf_counter(), (state.steps_done, state.epochs_done)
        weights = self._prepare(count)
        count = len(weights)
        if not count:
            return 0
        with one_thread(self._blocks[0].alone):
            taken = run.run(count)
        state.set_last_step(self._blocks[-1].step)
        whole, rest = divmod(taken, self._steps)
        self.seconds = (time.perf_counter() - began) / max(whole, 1)
        each = [
            block.losses[: count * block.count].reshape((count, -1))
            for block in self._blocks
        ]
        losses = np.concatenate(each, axis=1)
        means = mean_loss(losses[:whole], weights[:whole]).tolist()
        squares = self._squares[:whole, 0, 0].tolist()
        try:
            for mean, square in zip(means, squares, strict=True):
                state.square_then = square
                state.steps_done += self._steps
                finish(mean, self.seconds)
        finally:  # what has been trained, also if a callback raises
            state.square_then = None
            if whole < count:
                self._blocks[0].rollback.restore()
            state.steps_done = before[0] + taken
            state.epochs_done = before[1] + whole
        if whole < count:
            self._diverged(rest, float(losses[whole, rest]))
        return count

    def _prepare(self, count: int) -> NDArray:
        """Order and numbers of the next `count` epochs; Σ w of each one's batches.

        A rate that is refused ends them before its epoch.
        """
        state = self._state
        numbers = table(state, count * self._steps)
        count = len(numbers) // self._steps
        shape = (count, self._steps, numbers.shape[-1])
        numbers = numbers[: count * self._steps].reshape(shape)
        rows = self._rows[:count]
        self._orders.write(state.epochs_done, rows)
        set_orders(self._blocks, rows)
        for block, batches in batches_of(self._blocks):
            own = block.numbers[: count * block.count].reshape(
                (count, block.count, shape[-1])
            )
            own[...] = numbers[:, batches]
            block.step.unbind()
            block.keep_full_batch(0)
        return self._samples.weights(rows, self._batch_size)

    def _diverged(self, batch: int, loss: float) -> NoReturn:
        """Raise the error for step `batch` of the epoch, which has had no update."""
        state = self._state
        done = state.steps_done
        found = (b for b, taken in batches_of(self._blocks) if batch < taken.stop)
        block = next(found)
        state.set_last_step(block.step)
        try:
            block.diverged(done, loss)
        finally:
            state.steps_done = done
