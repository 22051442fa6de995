"""Many short epochs in one call of C, for a network whose epoch is a matter of microseconds.

An epoch of a small network takes less time than Python needs to draw the next order and
to write a row of the history. So several are prepared together, run in one call, and
told of one by one. That changes no number: it is done where nobody looks at the network
between two epochs (see `Callback.patient_for`).
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import native
from xpnet.backend.native.table import Op
from xpnet.training.dataset import order
from xpnet.training.stretch import SPAN, Stretch, table

if TYPE_CHECKING:
    from xpnet.training.loop import Loop

ROOM = 1 << 22  # bytes for the orders of the samples
MOST = 1024  # epochs a call


def room(samples: int, epochs: int) -> int:
    """How many epochs of so many samples are prepared at a time."""
    return max(1, min(epochs, MOST, ROOM // (8 * samples)))


class Epochs:
    """Epochs of a `Loop`, several at a time.

    Args:
        loop: on the CPU, with stretches that have room for them.
        room: how many.
    """

    def __init__(self, loop: "Loop", room: int) -> None:
        self._loop, self._room = loop, room
        self._squares = np.zeros((room, 1, 1), loop.trainer.dtype)
        self._linked: tuple[list[native.Steps], native.Epochs] | None = None
        self.seconds = SPAN  # of an epoch, about

    def ahead(self, left: int) -> int:
        """How many of the `left` epochs are to be run together now."""
        loop, trainer = self._loop, self._loop.trainer
        few = min(left, self._room, int(SPAN / max(self.seconds, 1e-9)))
        for callback in loop.callbacks if few > 1 else ():
            few = min(few, int(min(callback.patient_for(trainer), few)))
        return few if few > 1 and self._in_c() is not None else 1

    def _in_c(self) -> native.Epochs | None:
        """The epochs in C; None where their steps are not."""
        stretches = self._loop.stretches
        steps = [stretch.in_c() for stretch in stretches]
        found = [one for one in steps if one is not None]
        if len(found) < len(steps) or len({one.native.crew.threads > 1 for one in found}) > 1:
            return None
        if self._linked is None or self._linked[0] != found:
            square = self._square(found[0])
            if square is None:
                return None
            counts = [stretch.count for stretch in stretches]
            legs = list(zip(found, counts, strict=True))
            self._linked = found, native.Epochs(legs, [square])
        return self._linked[1]

    def _square(self, steps: native.Steps) -> Op | None:
        """Σ W² of the weights, at the end of each epoch."""
        weights = self._loop.trainer.penalized_weights()
        place = self._squares[0]
        linker = native.Linker(None, lambda: 1)
        op = linker.product(weights[None], weights[:, None], place)
        if op is not None:
            op.step[-1] = place.nbytes
        return op

    def run(self, count: int) -> None:
        """Take `count` epochs and tell of them.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        loop, trainer, run = self._loop, self._loop.trainer, self._in_c()
        assert run is not None
        began, first, steps = time.perf_counter(), trainer.steps_done, loop.steps
        weights = []
        for epoch in range(count):
            done = trainer.epochs_done + epoch
            rows = order(trainer.seed, done, loop.samples.count, loop.shuffle)
            weights.append(loop.samples.weights(rows, loop.batch_size))
            loop.order(rows, epoch)
        numbers = table(trainer, count * steps).reshape((count, steps, -1))
        for stretch, batches in loop.parts():
            shape = (count, stretch.count, -1)
            stretch.numbers[: count * stretch.count].reshape(shape)[...] = numbers[
                :, batches
            ]
            stretch.step.unbind()
            stretch.hold(0)
        taken = run.run(count)
        trainer.took(loop.stretches[-1].step)
        seconds = (time.perf_counter() - began) / max(taken / steps, 1.0)
        self.seconds = seconds
        losses = np.concatenate(
            [
                part.losses[: count * part.count].reshape((count, -1))
                for part in loop.stretches
            ],
            axis=1,
        )
        for epoch in range(taken // steps):
            trainer.steps_done += steps
            trainer.square_then = float(self._squares[epoch, 0, 0])
            seen = loop.samples.count
            loop.finish(losses[epoch], weights[epoch], seen, seconds)
        trainer.square_then = None
        if taken < count * steps:
            bad = taken % steps
            stretch = loop.stretches[bad >= loop.stretches[0].count]
            trainer.took(stretch.step)
            stretch.diverged(first + taken, float(losses[taken // steps, bad]))
