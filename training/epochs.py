"""Many short epochs in one call of C.

An epoch of a small network takes less time than Python needs to draw the next order and
to write a row of the history. So several are prepared together, run in one call, and
told of one by one. That changes no number: it is done where nobody looks at the network
between two epochs (see `Callback.patient_for`).
"""

import time
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.compiler import c as native
from xpnet.compiler.c.call_table import Op
from xpnet.execution import c_steps
from xpnet.training.callbacks import patience
from xpnet.training.data import mean_loss
from xpnet.training.steps import SPAN, table

if TYPE_CHECKING:
    from xpnet.training.loop import Loop

ROOM = 1 << 22  # bytes for the orders of the samples and the numbers of the steps
MOST = 1024  # epochs a call


def room(samples: int, steps: int, numbers: int, epochs: int) -> int:
    """How many epochs are prepared at a time, of so many samples and steps each."""
    return max(1, min(epochs, MOST, ROOM // (8 * (samples + steps * (numbers + 1)))))


def squaring(weights: Array, squares: Array, members: int | None) -> Op | None:
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


class Epochs:
    """Epochs of a `Loop`, several at a time.

    Args:
        loop: on the CPU, with stretches that have room for them.
        room: how many.
    """

    def __init__(self, loop: "Loop", room: int) -> None:
        self._loop, self._room = loop, room
        self._squares = np.zeros((room, 1, 1), loop.trainer.dtype)
        self._rows = np.empty((room, loop.samples.count), np.int64)
        self._linked: tuple[list[c_steps.Steps], c_steps.Epochs] | None = None
        self.seconds: float | None = None  # of an epoch, about, once one has been taken

    def ahead(self, left: int) -> int:
        """How many of the `left` epochs are to be run together now."""
        loop, trainer = self._loop, self._loop.trainer
        few = patience(loop.callbacks, trainer, min(left, self._room))
        run = self._in_c() if few > 1 else None
        if run is None:
            return 1
        seconds = run.seconds if self.seconds is None else self.seconds
        return max(1, min(few, int(SPAN / max(seconds, 1e-9))))

    def _in_c(self) -> c_steps.Epochs | None:
        """The epochs in C; None where their steps are not."""
        stretches = self._loop.stretches
        steps = [stretch.in_c() for stretch in stretches]
        found = [one for one in steps if one is not None]
        if len(found) < len(steps):
            return None
        if self._linked is None or self._linked[0] != found:
            weights = self._loop.trainer.penalized_weights()
            square = squaring(weights, self._squares, None)
            if square is None:
                return None
            counts = [stretch.count for stretch in stretches]
            legs = list(zip(found, counts, strict=True))
            self._linked = found, c_steps.Epochs(legs, [square])
        return self._linked[1]

    def run(self, count: int) -> int:
        """Take `count` epochs, or as many as have rates, and tell of them; how many.

        Raises:
            DivergenceError: a bad step; everything is as before it.
        """
        loop, trainer, run = self._loop, self._loop.trainer, self._in_c()
        assert run is not None
        began, before = time.perf_counter(), (trainer.steps_done, trainer.epochs_done)
        weights = self._prepare(count)
        count = len(weights)
        if not count:
            return 0
        with one_thread(loop.stretches[0].alone):
            taken = run.run(count)
        trainer.took(loop.stretches[-1].step)
        whole, rest = divmod(taken, loop.steps)
        self.seconds = (time.perf_counter() - began) / max(whole, 1)
        each = [
            part.losses[: count * part.count].reshape((count, -1))
            for part in loop.stretches
        ]
        losses = np.concatenate(each, axis=1)
        means = mean_loss(losses[:whole], weights[:whole]).tolist()
        squares = self._squares[:whole, 0, 0].tolist()
        try:
            for mean, square in zip(means, squares, strict=True):
                trainer.square_then = square
                trainer.steps_done += loop.steps
                loop.finish(mean, loop.samples.count, self.seconds, tell=True)
        finally:  # what has been trained, also if a callback raises
            trainer.square_then = None
            if whole < count:
                loop.safety.put_back()
            trainer.steps_done = before[0] + taken
            trainer.epochs_done = before[1] + whole
        if whole < count:
            self._diverged(rest, float(losses[whole, rest]))
        return count

    def _prepare(self, count: int) -> np.ndarray[Any, Any]:
        """Order and numbers of the next `count` epochs; Σ w of each one's batches.

        A rate that is refused ends them before its epoch.
        """
        loop, trainer = self._loop, self._loop.trainer
        numbers = table(trainer, count * loop.steps)
        count = len(numbers) // loop.steps
        shape = (count, loop.steps, numbers.shape[-1])
        numbers = numbers[: count * loop.steps].reshape(shape)
        rows = self._rows[:count]
        loop.orders.write(trainer.epochs_done, rows)
        loop.order(rows)
        for part, batches in loop.parts():
            own = part.numbers[: count * part.count].reshape(
                (count, part.count, shape[-1])
            )
            own[...] = numbers[:, batches]
            part.step.unbind()
            part.hold(0)
        return loop.samples.weights(rows, loop.batch_size)

    def _diverged(self, batch: int, loss: float) -> NoReturn:
        """Tell of step `batch` of the epoch, which has had no update."""
        loop, trainer = self._loop, self._loop.trainer
        done = trainer.steps_done
        part = next(part for part, taken in loop.parts() if batch < taken.stop)
        trainer.took(part.step)
        try:
            part.diverged(done, loss)
        finally:
            trainer.steps_done = done
