"""The next epochs of a training on the CPU: steps in a row, taken in C where possible.

An epoch of a small network takes less time than Python needs to draw the next order and
to write a row of the history. So several are prepared together, run in one call, and
reported one by one. That changes no number: it is done where nothing looks at the
network between two epochs (see `Callback.patient_for`).
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

import numpy as np

from xpnet.backend import Array, DeviceError
from xpnet.backend.blas import one_thread
from xpnet.common.console import warn
from xpnet.compiler import Call, tuning
from xpnet.execution import c_steps
from xpnet.execution.batch import Batch
from xpnet.execution.interrupt import Pace
from xpnet.execution.rollback import Rollback
from xpnet.execution.steps import GatherSpec, StepBlock
from xpnet.training.data import Orders, Samples, mean_loss
from xpnet.training.state import TrainingState

if TYPE_CHECKING:
    from xpnet.execution.cuda_graphs import GraphEpoch


def prepared(samples: int, steps: int, numbers: int, epochs: int) -> int:
    """How many epochs are prepared at a time, of so many samples and steps each."""
    most = tuning.MAX_PREPARED_BYTES // (8 * (samples + steps * (numbers + 1)))
    return max(1, min(epochs, tuning.MAX_EPOCHS_PER_BLOCK, most))


def keep_full_batch(samples: Samples, batch: Batch, rows: Array) -> bool:
    """Whether the batch is all samples: then it is gathered once, and stays there
    until a step is taken elsewhere.
    """
    held = batch.holds is not None and batch.holds() is samples
    whole = batch.samples == samples.count
    batch.holds = ref(samples) if whole else None
    if whole and not held:
        samples.gather(rows, batch)
    return whole


def graph_epoch(
    state: TrainingState, samples: Samples, batch_size: int, order: Array, losses: Array
) -> "GraphEpoch | None":
    """The epochs of a `fit` as graphs; None where the host has a part in each step.

    Args:
        order: the samples of an epoch in their order, on the device.
        losses: where those of an epoch are left.
    """
    assert state.model.buffers is not None
    if not state.takes_graphs or state.eager or state.model.buffers.lead:
        return None
    from xpnet.execution.cuda_graphs import GraphEpoch  # on a GPU alone

    widest = max(samples.x.size // max(samples.count, 1), samples.count)
    if widest >= 2**31:  # kernels count in int
        return None
    sizes = [size for size in (batch_size, samples.count % batch_size) if size]
    try:
        steps = [state.training_step(samples.kind(size)) for size in sizes]
        pairs = [samples.pairs(step.batch) for step in steps]
        return GraphEpoch(steps, pairs, order, losses, state.steps_per_graph)
    except DeviceError as error:
        warn(f"{error}; no CUDA graphs", RuntimeWarning, stacklevel=2)
        return None


class EpochBlock:
    """Epochs of a training, several at a time; their steps are counted through.

    Args:
        state: a recorded one, on the CPU.
        samples: gathered batch by batch.
        orders: of the samples.
        batch_size: samples a step.
        rollback: what a bad step is taken back to.
        epochs: that are to come.

    Attributes:
        room: how many epochs are prepared together at most.
        rows: the samples of each epoch in their order, (room, samples).
        losses: of each step, (room * steps,).
        seconds: of an epoch, about, once one has been taken.
    """

    def __init__(
        self,
        state: TrainingState,
        samples: Samples,
        orders: Orders,
        batch_size: int,
        rollback: Rollback,
        epochs: int,
    ) -> None:
        self._state, self._samples, self._orders = state, samples, orders
        self._batch_size, self._rollback = batch_size, rollback
        full, rest = divmod(samples.count, batch_size)
        self._steps, zeros = full + (rest > 0), state.backend.zeros
        names = state.rule.numbers.size
        self.room = room = prepared(samples.count, self._steps, names, epochs)
        # Where a batch is all samples, it stays where it is: one order is that of all.
        self._whole = self._steps == 1
        orders_held = (1 if self._whole else room, self._steps * batch_size)
        index = zeros(orders_held, np.int64)
        self.rows = index[:, : samples.count]
        if self._whole:
            self.rows[...] = np.arange(samples.count)
        self._index = index.reshape((-1, batch_size))
        self._table = zeros((room * self._steps, names), state.dtype)
        self.losses = zeros((room * self._steps,), state.dtype)
        self._squares = np.zeros((room, 1, 1), state.dtype)
        parts = [(batch_size, full), (rest, int(rest > 0))]
        self._counts = [count for _, count in parts if count]
        self._blocks = [self._block(size) for size, count in parts if count]
        self._paces = [Pace() for _ in self._blocks]
        # For both or none: an epoch must not depend on which takes its last steps.
        programs = [block.step.program for block in self._blocks]
        self._alone = any(
            one is not None and one.partition.threads > 1 for one in programs
        )
        self._linked: tuple[list[c_steps.Steps], c_steps.Epochs] | None = None
        self.seconds: float | None = None

    def _block(self, size: int) -> StepBlock:
        """The steps for batches of `size`."""
        state, samples = self._state, self._samples
        step = state.training_step(samples.kind(size))
        index, calls, copy = self._index[:, :size], list[Call](), np.copyto
        gathers = [] if self._whole else samples.pairs(step.batch)
        if gathers:
            program, indices = samples.gathering(step.batch)
            calls = program.segments["gather"]

        def fetch(i: int) -> None:
            if calls:
                copy(indices, index[i])
            for function, arguments in calls:
                function(*arguments)

        return StepBlock(
            step,
            [GatherSpec(*pair, index) for pair in gathers],
            fetch,
            self._table,
            self.losses,
            self._rollback.pairs,
        )

    def run(self, start: int, stop: int) -> int:
        """Take steps start .. stop - 1 of this epoch, or fewer; the next one.

        Raises:
            DivergenceError: a bad step; everything is as before it.
            ValueError, TypeError: the first step has no learning rate.
        """
        state, full = self._state, self._counts[0]
        block, pace = self._blocks[start >= full], self._paces[start >= full]
        stop = min(stop, full if start < full else self._steps, start + pace.steps)
        stop = start + self._prepare(start, stop)
        before, began = state.steps_done, time.perf_counter()
        block.reached = start
        try:
            with one_thread(self._alone):
                block.reached = block.run(start, stop)
        finally:
            state.steps_done = before + block.reached - start
            state.set_last_step(block.step)
        if block.reached < stop:
            loss = float(self.losses[block.reached])
            raise state.diverged(self._rollback, block.step, loss)
        took = time.perf_counter() - began
        pace.note(stop - start, took)
        assert block.step.replay is not None
        block.step.replay.add_runtime(took)
        return stop

    def _prepare(self, start: int, stop: int) -> int:
        """The numbers of steps start .. stop - 1, as far as there are rates; how many.

        A batch that is all samples is gathered.

        Raises:
            ValueError, TypeError: the first step has none.
        """
        for block in self._blocks:
            block.step.unbind()
            keep_full_batch(self._samples, block.step.batch, self._index[0])
        state, done = self._state, self._state.steps_done
        rates = state.rates.until_refused(done, stop - start)
        self._table[start : start + len(rates)] = state.rule.table(rates, done + 1)
        return len(rates)

    # Several epochs.

    def ahead(self, most: int) -> int:
        """How many epochs, `most` at most, are to be run together now."""
        epochs = self._in_c() if min(most, self.room) > 1 else None
        if epochs is None:
            return 1
        seconds = epochs.seconds if self.seconds is None else self.seconds
        fit = int(tuning.BLOCK_SECONDS / max(seconds, 1e-9))
        return max(1, min(most, self.room, fit))

    def _in_c(self) -> c_steps.Epochs | None:
        """The epochs in C; None where their steps are not."""
        steps = [block.in_c for block in self._blocks]
        found = [one for one in steps if one is not None]
        if len(found) < len(steps):
            return None
        if self._linked is None or self._linked[0] != found:
            weights = self._state.penalized_weights()
            square = c_steps.squaring(weights, self._squares, None)
            if square is None:
                return None
            legs = list(zip(found, self._counts, strict=True))
            self._linked = found, c_steps.Epochs(legs, 0, [square])
        return self._linked[1]

    def run_epochs(self, count: int, finish: Callable[[float, float], None]) -> int:
        """Take `count` epochs, or as many as have rates; how many.

        Args:
            count: as `ahead` says.
            finish: called for each in turn with its mean loss and its seconds, when
                all have been taken; the state's counters and Σ W² are that epoch's.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        state, epochs, steps = self._state, self._in_c(), self._steps
        assert epochs is not None
        began, before = time.perf_counter(), (state.steps_done, state.epochs_done)
        count = self._prepare(0, count * steps) // steps
        if not count:
            return 0
        rows = self.rows[:count]
        if self._whole:
            rows = np.broadcast_to(self.rows, (count, self._samples.count))
        else:
            self._orders.write(state.epochs_done, rows)
        weights = self._samples.weights(rows, self._batch_size)
        with one_thread(self._alone):
            taken = epochs.run(0, count * steps)
        state.set_last_step(self._blocks[-1].step)
        done = taken // steps
        self.seconds = (time.perf_counter() - began) / max(done, 1)
        losses = self.losses[: done * steps].reshape((done, steps))
        means = mean_loss(losses, weights[:done]).tolist()
        squares = self._squares[:done, 0, 0].tolist()
        try:
            for mean, square in zip(means, squares, strict=True):
                state.square_then = square
                state.steps_done += steps
                finish(mean, self.seconds)
        finally:  # what has been trained, also if a callback raises
            state.square_then = None
            if done < count:
                self._rollback.restore()
            state.steps_done = before[0] + taken
            state.epochs_done = before[1] + done
        if done < count:
            block = self._blocks[taken % steps >= self._counts[0]]
            loss = float(self.losses[taken])
            raise state.diverged(self._rollback, block.step, loss)
        return count
