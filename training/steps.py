"""The full batches of an epoch on the CPU: one list of calls a step, nothing between.

Gathering the batch, the numbers of the step, gradients, loss and the look at both are
calls of one record, so that a step of `fit` costs what its calls cost. Where all of
them are machine code, C takes the steps, and Python has no part in them.
"""

import time
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import NoReturn

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.backend.blas import one_thread
from xpnet.compiler import Program
from xpnet.execution import c_steps
from xpnet.execution.interrupt import Interrupt
from xpnet.training.data import Samples
from xpnet.training.divergence import divergence
from xpnet.training.rollback import Rollback
from xpnet.training.state import TrainingState

LONGEST = 64  # steps between two looks at the clock, at most
LONGEST_NATIVE = 4096  # likewise where C takes them
SPAN = 0.05  # seconds between them, about


class StepBlock:
    """Runs of steps over batches of one size.

    Args:
        state: a recorded one, on the CPU.
        samples: gathered batch by batch.
        size: of a batch.
        count: batches of an epoch.
        rollback: what a bad step is taken back to.
        epochs: how many of them there is to be room for.

    Attributes:
        batches: the samples of each, (epochs * count, size).
        alone: whether BLAS computes with one thread, as where threads divide the steps.
    """

    def __init__(
        self,
        state: TrainingState,
        samples: Samples,
        size: int,
        count: int,
        rollback: Rollback,
        epochs: int,
    ) -> None:
        self.state, self.samples, self.rollback = state, samples, rollback
        self.count, self.size = count, size
        room = state.backend.empty
        self.batches = room((epochs * count, size), np.int64)
        self.step = state.training_step(samples.kind(size))
        self.alone = (
            self.step.program is not None and self.step.program.partition.threads > 1
        )
        self.whole = size == samples.count
        self.longest = 1
        names = state.rule.numbers.shape
        self.numbers = room((epochs * count, *names), state.dtype)
        self.losses = room((epochs * count,), state.dtype)
        self._steps: tuple[Program, c_steps.Steps | None] | None = None

    def order(self, rows: Array) -> None:
        """Take the samples of its batches in these orders, one a row, an epoch each."""
        rows = rows[:1] if self.whole else rows  # where a batch is all, all are alike
        self.batches[: len(rows) * self.count].reshape(rows.shape)[...] = rows

    def run(self, first: int, interrupt: Interrupt, stop: int) -> list[float]:
        """Take the steps of batches first, first + 1, ..., stop - 1; their losses.

        It ends there, when `interrupt.asked`, or after `SPAN` seconds or so.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        replay = self.step.replay
        assert replay is not None
        self.step.unbind()
        self.keep_full_batch(first)
        steps = self.in_c()
        longest = LONGEST if steps is None else LONGEST_NATIVE
        stop = min(first + min(self.longest, longest), stop, self.count)
        rows = table(self.state, stop - first)
        stop = first + len(rows)
        self.numbers[first:stop] = rows
        before = self.state.steps_done
        began, done = time.perf_counter(), first
        try:
            with one_thread(self.alone):
                if steps is not None:
                    done = steps.run(first, stop, 0, 1)
                else:
                    for reached in self._called(first, stop):
                        done = reached
                        if interrupt.asked:
                            break
            if done < stop and steps is not None:
                self.diverged(before + done - first, float(self.losses[done]))
        finally:
            self.state.steps_done = before + done - first
            self.state.set_last_step(self.step)
        took = time.perf_counter() - began
        if took < SPAN / 2:
            self.longest = min(longest, 2 * self.longest)
        elif took > SPAN:
            self.longest = max(1, self.longest // 2)
        replay.add_runtime(took)
        losses: list[float] = self.losses[first:done].tolist()
        return losses

    def keep_full_batch(self, first: int) -> None:
        """The full batch stays where it is."""
        batch = self.step.batch
        held = batch.holds is self.samples
        batch.holds = self.samples if self.whole else None
        if self.whole and not held:
            self.samples.gather(self.batches[first], batch)

    def _called(self, first: int, stop: int) -> Iterator[int]:
        """Steps call by call; after each how far they have come."""
        step, program = self.step, self.step.program
        assert program is not None
        gather, indices = self.samples.gathering(step.batch)
        parts = program.segments
        calls = [
            *self.rollback.calls,
            *([] if self.whole else gather.segments["gather"]),
            *parts["gradients"],
            *parts["loss"],
        ]
        update, numbers, loss = (
            parts["update"],
            self.state.rule.numbers,
            step.loss.item,
        )
        gradients, copy = self.state.flat_gradients, np.copyto
        before = self.state.steps_done - first
        for i in range(first, stop):
            copy(indices, self.batches[i])
            copy(numbers, self.numbers[i])
            for function, arguments in calls:
                function(*arguments)
            value = self.losses[i] = loss()
            if not (isfinite(value) and all_finite(gradients)):
                self.diverged(before + i, value)
            for function, arguments in update:
                function(*arguments)
            yield i + 1

    def in_c(self) -> c_steps.Steps | None:
        """The steps in C; None where they are not calls of C from end to end."""
        program = self.step.program
        if program is None:
            return None
        if self._steps is None or self._steps[0] is not program:
            self.step.unbind()  # the tables shall read the batch's own memory
            self._steps = program, self._linked(program)
        return self._steps[1]

    def _linked(self, program: Program) -> c_steps.Steps | None:
        state, step, batch = self.state, self.step, self.step.batch
        if not c_steps.possible(program.native):
            return None
        size = self.batches.strides[0]
        gathers = [
            c_steps.take(
                rows, self.batches[0], out, None, size, program.native.partition
            )
            for rows, out in ([] if self.whole else self.samples.pairs(batch))
        ]
        if None in gathers:
            return None  # not copies of whole rows
        numbers = state.rule.numbers
        first = [
            *(c_steps.copy(a, b, False, (0, 0)) for a, b in self.rollback.pairs),
            *gathers,
            c_steps.copy(self.numbers[0], numbers, False, (numbers.nbytes, 0)),
        ]
        return c_steps.Steps(
            program.native, first, step.loss, self.losses, state.flat_gradients
        )

    def diverged(self, done: int, loss: float) -> NoReturn:
        """Take back what the step after `done` has moved, and say what went wrong."""
        self.state.steps_done = done
        self.rollback.restore()
        raise divergence(self.state, self.step, done + 1, loss)


def step_blocks(
    state: TrainingState,
    samples: Samples,
    batch_size: int,
    rollback: Rollback,
    epochs: int,
) -> list[StepBlock]:
    """Those of an epoch: the full batches, then the short one if there is one."""
    full, rest = divmod(samples.count, batch_size)
    sizes = ((batch_size, full), (rest, int(rest > 0)))
    blocks = [
        StepBlock(state, samples, size, count, rollback, epochs)
        for size, count in sizes
        if count
    ]
    # Both or none: an epoch must not depend on which of them takes its last steps.
    alone = any(block.alone for block in blocks)
    for block in blocks:
        block.alone = alone
    return blocks


def batches_of(blocks: Iterable[StepBlock]) -> Iterator[tuple[StepBlock, slice]]:
    """Each block, and which of an epoch's batches it takes."""
    at = 0
    for block in blocks:
        yield block, slice(at, at + block.count)
        at += block.count


def set_orders(blocks: Iterable[StepBlock], rows: Array) -> None:
    """Take the samples in these orders, (epochs, samples), in the next epochs."""
    at = 0
    for block in blocks:
        end = at + block.count * block.size
        block.order(rows[:, at:end])
        at = end


def table(state: TrainingState, steps: int) -> Array:
    """The numbers of the next `steps` steps, a row each, as far as there are rates.

    Raises:
        ValueError, TypeError: the next step has none.
    """
    begin = state.steps_done
    return state.rule.table(state.rates.until_refused(begin, steps), begin + 1)
