"""The full batches of an epoch on the CPU: one list of calls a step, nothing between.

Gathering the batch, the numbers of the step, gradients, loss and the look at both are
calls of one record, so that a step of `fit` costs what its calls cost.
"""

import time
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import Array, Call
from xpnet.training.checks import quickly_finite
from xpnet.training.dataset import Samples
from xpnet.training.divergence import divergence
from xpnet.training.interrupt import Interrupt
from xpnet.training.safety import Safety

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

LONGEST = 64  # steps between two looks at the clock, at most
SPAN = 0.05  # seconds between them, about


class Stretch:
    """Runs of steps over batches of one size.

    Args:
        trainer: a recorded one, on the CPU.
        samples: gathered batch by batch.
        size: of a batch.
        rows: the order of the samples in the epoch; its values may change.
        safety: what a bad step is taken back to.
    """

    def __init__(
        self,
        trainer: "Trainer",
        samples: Samples,
        size: int,
        rows: Array,
        safety: Safety,
    ) -> None:
        self.trainer, self.samples, self.safety = trainer, samples, safety
        count = len(rows) // size
        self.batches = rows[: count * size].reshape(count, size)
        self.step = trainer.training_step(samples.kind(size))
        self.whole = size == samples.count
        self.longest = 1

    def run(self, first: int, interrupt: Interrupt, stop: int) -> list[float]:
        """Take the steps of batches first, first + 1, ..., stop - 1; their losses.

        It ends there, when `interrupt.asked`, or after `SPAN` seconds or so.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        trainer, step, replay = self.trainer, self.step, self.step.replay
        assert replay is not None
        losses: list[float] = []
        batches = self.batches[first : min(first + self.longest, stop)]
        indices, calls = self._calls()
        update = replay.program.segments["update"]
        numbers, loss = trainer.rule.numbers, step.loss.item
        gradients, table = trainer.flat_gradients, self._table(len(batches))
        copy, before = np.copyto, trainer.steps_done
        began = time.perf_counter()
        try:
            for order, row in zip(batches, table, strict=True):
                copy(indices, order)
                copy(numbers, row)
                for function, arguments in calls:
                    function(*arguments)
                value = loss()
                if not (isfinite(value) and quickly_finite(gradients)):
                    self._diverged(before + len(losses), value)
                for function, arguments in update:
                    function(*arguments)
                losses.append(value)
                if interrupt.asked:
                    break
        finally:
            trainer.steps_done = before + len(losses)
            trainer.took(step)
        took = time.perf_counter() - began
        if took < SPAN:
            self.longest = min(LONGEST, 2 * self.longest)
        replay.spend(took)
        return losses

    def _calls(self) -> tuple[Array, list[Call]]:
        """Where the row numbers go, and the calls up to the update."""
        step, replay = self.step, self.step.replay
        assert replay is not None
        step.unbind()
        gather, indices = self.samples.gathering(step.batch)
        held = step.batch.holds is self.samples
        step.batch.holds = self.samples if self.whole else None
        if self.whole and not held:
            indices[...] = self.batches[0]
            gather.run("gather")
        parts = replay.program.segments
        return indices, [
            *self.safety.calls,
            *([] if self.whole else gather.segments["gather"]),
            *parts["gradients"],
            *parts["loss"],
        ]

    def _table(self, steps: int) -> Array:
        """The numbers of the next `steps` steps, a row each."""
        trainer = self.trainer
        begin = trainer.steps_done
        rates = [trainer.rates.at(begin + i) for i in range(steps)]
        return trainer.rule.table(rates, begin + 1)

    def _diverged(self, done: int, loss: float) -> None:
        self.trainer.steps_done = done
        self.safety.put_back()
        raise divergence(self.trainer, self.step, done + 1, loss)
