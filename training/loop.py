"""The training loop: epochs of batches of steps."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend.arrays import all_finite
from xpnet.common.console import complain
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.step import TrainingStep
from xpnet.training.callbacks import Callback
from xpnet.training.cuda_graphs import captured
from xpnet.training.data import Orders, Samples, mean_loss
from xpnet.training.divergence import divergence, overflow
from xpnet.training.epochs import Epochs, room
from xpnet.training.evaluate import evaluate
from xpnet.training.history import History
from xpnet.training.progress import Progress
from xpnet.training.rollback import Safety
from xpnet.training.steps import Stretch

if TYPE_CHECKING:
    from xpnet.diagnosis.doctor import Doctor
    from xpnet.training.resume import Keeper
    from xpnet.training.trainer import Trainer


class Loop:
    """One `fit`: what it needs, and where it is."""

    def __init__(
        self,
        trainer: "Trainer",
        samples: Samples,
        validation: Samples | None,
        batch_size: int,
        shuffle: bool,
        callbacks: list[Callback],
        progress: Progress,
        doctor: "Doctor | None" = None,
        epochs: int = 1,
        keeper: "Keeper | None" = None,
    ) -> None:
        self.trainer, self.samples, self.validation = trainer, samples, validation
        self.batch_size = batch_size
        self.callbacks, self.progress, self.doctor = callbacks, progress, doctor
        self.history = trainer.history
        self.orders = Orders(trainer.seed, batch_size, shuffle)
        self.safety = Safety(trainer)
        self.steps = math.ceil(samples.count / batch_size)
        self.keeper = keeper
        # Batches of the first epoch that were done before its checkpoint.
        self.begun = 0 if keeper is None else keeper.batch
        self.cut = False  # whether a signal has ended the training
        with trainer.backend.active():
            self.rows = trainer.backend.zeros((samples.count,), np.int64)
            # The losses of an epoch stay on the device until it ends.
            self.losses = trainer.backend.zeros((self.steps,), trainer.dtype)
            batches = (samples, batch_size, self.rows)
            self.captured = captured(trainer, *batches, self.losses)
        # The full batches, and the short one that an epoch may end with.
        self.stretches: list[Stretch] = []
        self.epochs: Epochs | None = None
        if trainer.backend.is_host and not trainer.eager:
            looked_at = validation is not None or doctor is not None
            rows = (samples.count, self.steps, trainer.rule.numbers.size)
            space = 1 if looked_at else room(*rows, epochs)
            full, rest = divmod(samples.count, batch_size)
            for size, count in ((batch_size, full), (rest, int(rest > 0))):
                if count:
                    part = Stretch(trainer, samples, size, count, self.safety, space)
                    self.stretches.append(part)
            # Both or none: an epoch must not depend on who takes its last steps.
            alone = any(part.alone for part in self.stretches)
            for part in self.stretches:
                part.alone = alone
            if not looked_at:
                self.epochs = Epochs(self, space)

    def parts(self) -> Iterator[tuple[Stretch, slice]]:
        """Each stretch, and which of an epoch's batches it takes."""
        at = 0
        for stretch in self.stretches:
            yield stretch, slice(at, at + stretch.count)
            at += stretch.count

    def order(self, rows: np.ndarray[Any, Any]) -> None:
        """Take the samples in these orders, (epochs, samples), in the next epochs."""
        size = self.batch_size
        for stretch, batches in self.parts():
            first, end = batches.start * size, batches.stop * size
            stretch.order(rows[:, first:end])

    def run(self, epochs: int) -> History:
        """Train; callbacks see the end however it comes."""
        trainer, keeper = self.trainer, self.keeper
        trainer.stop = ""
        interrupt = Interrupt(terminate=keeper is not None and keeper.keeps)
        ended = False
        try:
            with self.doctor or nullcontext():
                self._epochs(epochs, interrupt)
                error = overflow(trainer)
                if error is not None:
                    raise error
            ended = not self.cut
        finally:
            if keeper is not None:
                keeper.end(ended)
        self.history.stopped = trainer.stop
        if self.cut and not self.progress.verbose:
            # The script goes on: this must not be taken for a finished training.
            complain(f"fit: {trainer.stop}; returning")
        if trainer.stop:
            self.progress.note(f"stopped: {trainer.stop}")
        interrupt.pass_on()
        return self.history

    def _epochs(self, epochs: int, interrupt: Interrupt) -> None:
        trainer, keeper = self.trainer, self.keeper
        with ExitStack() as ends:
            for callback in reversed(self.callbacks):  # the last in is the first out
                ends.callback(callback.on_fit_end, trainer)
            for callback in self.callbacks:
                callback.on_fit_begin(trainer)
            if keeper is not None:
                keeper.go_on(self.steps)
            with interrupt, np.errstate(all="ignore"):
                epoch = len(self.history)
                while epoch < epochs and not trainer.stop:
                    epoch += self._some(epoch, epochs, interrupt)
                    if keeper is not None and not trainer.stop:
                        keeper.look(0, partial(self._losses, 0))

    def _cut(self, interrupt: Interrupt, epoch: int, batch: int) -> None:
        """A signal has asked to end the training after `batch` of `epoch`."""
        self.cut = True
        self.trainer.stop = f"{interrupt.word} in epoch {epoch} after batch {batch}"

    def _some(self, done: int, epochs: int, interrupt: Interrupt) -> int:
        """The next epochs, one of them or several together; how many."""
        together = None if self.begun else self.epochs
        ahead = 1 if together is None else together.ahead(epochs - done)
        count = 0
        if together is not None and ahead > 1:
            with self.trainer.model.access.writing:
                count = together.run(ahead)
        if not count:
            self._epoch(done + 1, epochs, interrupt)
            return 1
        if interrupt.asked and not self.trainer.stop:
            if self.keeper is not None:
                self.keeper.keep(0, self._losses(0))
            self._cut(interrupt, done + count, self.steps)
        return count

    def _epoch(self, epoch: int, epochs: int, interrupt: Interrupt) -> None:
        trainer, count, keeper = self.trainer, self.samples.count, self.keeper
        began, begun = time.perf_counter(), self.begun
        done, self.begun = begun, 0
        rows = self.orders.of(trainer.epochs_done, count)
        bar = self.progress.bar(self.steps, epoch, epochs)
        with trainer.backend.active(), bar as advance:
            if not self.safety.each_step:
                self.safety.keep()
            trainer.backend.upload(self.rows, rows)
            self.order(rows[None])
            if keeper is not None and begun:
                trainer.backend.upload(self.losses[:begun], keeper.losses)
                advance(begun)
            if self.captured is not None:
                self.captured.begin(begun)
            while done < self.steps and not trainer.stop:
                with trainer.model.access.writing:
                    taken = self._steps(done, interrupt)
                done += taken
                advance(taken)
                if interrupt.asked:
                    self._cut(interrupt, epoch, done)
                elif keeper is not None and done < self.steps:
                    keeper.look(done, partial(self._losses, done))
            losses = self._losses(done)
            if not self.safety.each_step:
                with trainer.model.access.writing:
                    self._check(losses, begun)
        if keeper is not None and self.cut:
            keeper.keep(done, losses)
        weights = self.samples.weights(rows, self.batch_size)[:done]
        seen = min(done * self.batch_size, count) - begun * self.batch_size
        seconds = time.perf_counter() - began
        if self.epochs is not None:
            self.epochs.seconds = seconds
        self.finish(float(mean_loss(losses, weights)), seen, seconds)

    def _losses(self, done: int) -> np.ndarray[Any, Any]:
        """Those of the first `done` batches of this epoch, on the host."""
        losses: np.ndarray[Any, Any] = self.trainer.backend.to_numpy(self.losses)
        return losses[:done]

    def _steps(self, i: int, interrupt: Interrupt) -> int:
        """Batch i, and others after it where they are one record; how many."""
        look = self.steps if self.doctor is None else self.doctor.next_look(i)
        if self.doctor is not None and i == look:
            self.doctor.watch(self._step, i)
            if self.captured is not None:
                self.captured.seek(i + 1)
            return 1
        if self.keeper is not None:
            look = min(look, self.keeper.limit(i))
        if self.captured is not None:
            return self.captured.run(i, look)
        if not self.stretches:
            self._step(i)
            return 1
        full = self.stretches[0].count
        if i < full:
            losses = self.stretches[0].run(i, interrupt, look)
        else:
            losses = self.stretches[1].run(0, interrupt, 1)
        self.losses[i : i + len(losses)] = losses
        return len(losses)

    def _step(self, i: int) -> None:
        """Batch i; on the host a bad step stops before its update."""
        trainer = self.trainer
        if self.safety.each_step:
            self.safety.keep()
        step = self._gradients(i)
        self.losses[i : i + 1] = step.loss.reshape(-1)
        if trainer.backend.is_host:
            loss = float(step.loss[0, 0])
            if not (math.isfinite(loss) and all_finite(trainer.flat_gradients)):
                self.safety.put_back()
                raise divergence(trainer, step, trainer.steps_done + 1, loss)
        step.run("update")
        trainer.steps_done += 1

    def _gradients(self, i: int) -> TrainingStep:
        """Gather batch i, compute its gradients and loss."""
        trainer, count = self.trainer, self.samples.count
        start = i * self.batch_size
        size = min(self.batch_size, count - start)
        step = trainer.training_step(self.samples.kind(size))
        step.unbind()
        if step.batch.holds is not self.samples:
            self.samples.gather(self.rows[start : start + size], step.batch)
        # The full batch stays where it is, until somebody else takes a step.
        step.batch.holds = self.samples if size == count else None
        trainer.set_scalars()
        step.run("gradients")
        step.run("loss")
        trainer.took(step)
        return step

    def _check(self, losses: np.ndarray[Any, Any], begun: int) -> None:
        """On a device: go back to the first bad step of the epoch, and tell of it.

        Args:
            losses: of the batches that are done.
            begun: those done before what `safety` has kept.
        """
        bad = np.flatnonzero(~np.isfinite(losses))
        if not len(bad):
            return
        trainer, first = self.trainer, int(bad[0])
        self.safety.put_back()
        for i in range(begun, first):
            self._gradients(i).run("update")
            trainer.steps_done += 1
        step, number = self._gradients(first), trainer.steps_done + 1
        error = divergence(trainer, step, number, float(losses[first]))
        self.safety.put_back()
        raise error

    def finish(
        self, loss: float, seen: int, seconds: float, tell: bool = False
    ) -> None:
        """The epoch's row of the history; its callbacks are told.

        Args:
            loss: the mean of its batches.
            seen: samples.
            seconds: that it took.
            tell: also if training has been stopped.
        """
        trainer = self.trainer
        row = {"loss": loss}
        if self.validation is not None and not trainer.stop:
            scores = evaluate(
                trainer, self.validation, trainer.metrics, self.batch_size
            )
            row |= {f"val_{name}": value for name, value in scores.items()}
        row["learning_rate"] = trainer.rates.at(max(trainer.steps_done - 1, 0))
        row["seconds"] = seconds
        row["samples_per_second"] = seen / max(seconds, 1e-9)
        trainer.epochs_done += 1
        self.history.rows.append(row)
        if tell or not trainer.stop:
            for callback in self.callbacks:
                callback.on_epoch_end(trainer, row)
        self.progress.epoch(self.history)
