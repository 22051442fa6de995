"""The training loop: epochs of batches of steps."""

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array
from xpnet.training.callbacks import Callback
from xpnet.training.checks import quickly_finite
from xpnet.training.dataset import Samples, order
from xpnet.training.divergence import divergence
from xpnet.training.evaluation import evaluate
from xpnet.training.history import History
from xpnet.training.interrupt import Interrupt
from xpnet.training.progress import Progress

if TYPE_CHECKING:
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
    ) -> None:
        self.trainer, self.samples, self.validation = trainer, samples, validation
        self.batch_size = batch_size
        self.callbacks, self.progress = callbacks, progress
        self.history = trainer.history
        self.history.monitor = "loss" if validation is None else "val_loss"
        self.shuffle = shuffle and batch_size < samples.count
        self._loaded: tuple[int, int] | None = None
        self._safe: tuple[Array, ...] | None = None
        # The losses of an epoch stay on the device until it ends.
        steps = math.ceil(samples.count / batch_size)
        with trainer.backend.active():
            self.losses = trainer.backend.zeros((steps,), trainer.dtype)
            assert trainer.model.buffers is not None
            self._state = trainer.model.buffers.state.copy()

    def run(self, epochs: int) -> History:
        """Train; callbacks see the end however it comes."""
        trainer = self.trainer
        trainer.stop = ""
        for callback in self.callbacks:
            callback.on_fit_begin(trainer)
        try:
            with Interrupt() as interrupt, np.errstate(all="ignore"):
                for epoch in range(1, epochs + 1):
                    self._epoch(epoch, epochs, interrupt)
                    if trainer.stop:
                        break
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(trainer)
        self.history.stopped = trainer.stop
        if trainer.stop:
            self.progress.note(f"stopped: {trainer.stop}")
        return self.history

    def _epoch(self, epoch: int, epochs: int, interrupt: Interrupt) -> None:
        trainer, count = self.trainer, self.samples.count
        if not trainer.backend.is_host:  # there a bad step shows only at the end
            self._safe = trainer.snapshot(self._safe)
        began, seen = time.perf_counter(), 0
        rows = order(trainer.seed, trainer.epochs_done, count, self.shuffle)
        starts = range(0, count, self.batch_size)
        weights = []
        with trainer.backend.active():
            device_rows = trainer.backend.asarray(rows)
            for i, start in enumerate(self.progress.batches(starts, epoch, epochs)):
                part = slice(start, min(start + self.batch_size, count))
                self._step(i, device_rows[part], part.stop - start)
                seen = part.stop
                weights.append(self.samples.weight(rows[part]))
                if interrupt.asked:
                    trainer.stop = f"interrupted in epoch {epoch} after batch {i + 1}"
                    break
        self._finish(weights, seen, time.perf_counter() - began)

    def _step(self, i: int, rows: object, size: int) -> None:
        """Gather, gradients, update; on the host a bad step stops before its update."""
        trainer = self.trainer
        step = trainer.training_step(self.samples.kind(size))
        step.unbind()
        # The full batch stays where it is, unless somebody else took a step.
        if self._loaded != (id(step), trainer.steps_done):
            self.samples.gather(rows, step.batch)
        if size == self.samples.count:
            self._loaded = (id(step), trainer.steps_done + 1)
        if trainer.backend.is_host:
            self._keep_state()
        trainer.set_scalars()
        step.run("gradients")
        step.run("loss")
        self.losses[i : i + 1] = step.loss.reshape(-1)
        trainer.newest = step
        if trainer.backend.is_host:
            loss = float(step.loss[0, 0])
            if not (math.isfinite(loss) and quickly_finite(trainer.flat_gradients)):
                self._put_state_back()
                raise divergence(trainer, step, trainer.steps_done + 1, loss)
        step.run("update")
        trainer.steps_done += 1

    def _keep_state(self) -> None:
        """The running statistics move before a bad step shows."""
        buffers = self.trainer.model.buffers
        if self._state.size and buffers is not None:
            self._state[...] = buffers.state

    def _put_state_back(self) -> None:
        buffers = self.trainer.model.buffers
        if self._state.size and buffers is not None:
            buffers.state[...] = self._state

    def _finish(self, weights: list[float], seen: int, seconds: float) -> None:
        """The epoch's row: losses are read here, once."""
        trainer = self.trainer
        losses = trainer.backend.to_numpy(self.losses)[: len(weights)]
        self._check(losses)
        total = sum(weights)
        weighted = float(np.dot(losses.astype(np.float64), weights))
        row = {"loss": weighted / total if total > 0.0 else 0.0}
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
        if not trainer.stop:
            for callback in self.callbacks:
                callback.on_epoch_end(trainer, row)
        self.progress.epoch(self.history)

    def _check(self, losses: np.ndarray[Any, Any]) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            trainer = self.trainer
            first = int(bad[0])
            number = trainer.steps_done - len(losses) + first + 1
            assert trainer.newest is not None
            error = divergence(trainer, trainer.newest, number, float(losses[first]))
            if self._safe is not None:
                trainer.restore(self._safe)
            raise error
