"""The training loop: epochs of batches of steps.

`plain_loop` says what a training computes. `Loop` is what `fit` runs: the same steps,
recorded and taken many at a time, with callbacks, Ctrl-C, divergence and checkpoints.
"""

import math
import time
from contextlib import ExitStack, nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend.arrays import all_finite
from xpnet.common.console import complain
from xpnet.execution.batch import Batch
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.observer import Observer
from xpnet.execution.step import TrainingStep
from xpnet.trace import batch_sum
from xpnet.training.callbacks import Callback, max_epochs_between_calls
from xpnet.training.data import Orders, Samples, mean_loss
from xpnet.training.divergence import divergence, overflow
from xpnet.training.epochs import EpochBlock, graph_epoch, keep_full_batch
from xpnet.training.evaluate import NetworkEvaluation
from xpnet.training.history import History
from xpnet.training.progress import Progress
from xpnet.training.state import TrainingState

if TYPE_CHECKING:
    from xpnet.training.resume import Keeper


def plain_loop(
    state: TrainingState, samples: Samples, batch_size: int, epochs: int
) -> list[float]:
    """Train as `fit` does, one equation at a time: the specification, and slow.

    Returns:
        The mean loss of each epoch.
    """
    model, loss, history = state.model, state.loss_function, []
    orders, rule = Orders(state.seed, batch_size), state.rule
    batch_of = cache(lambda size: Batch(samples.kind(size), model))
    model.bind_noise((state.seed,))
    for _ in range(epochs):
        order, losses = orders.of(state.epochs_done, samples.count), []
        for start in range(0, samples.count, batch_size):
            rows = order[start : start + batch_size]
            batch = batch_of(len(rows))
            samples.gather(state.backend.asarray(rows), batch)
            z = model.forward(batch.x, training=True)
            t, share = batch.targets(batch.y, z.dtype), batch.shares(batch.w)
            value, penalty = batch_sum(loss.rows(z, t) * share), rule.penalty()
            losses.append(value if penalty is None else value + penalty)
            model.backward(loss.gradient(z, t) * share)
            state.set_scalars()
            rule.update(model)
            state.steps_done += 1
        weights = samples.weights(order, batch_size)
        history.append(float(mean_loss(np.concatenate(losses, axis=None), weights)))
        state.epochs_done += 1
    return history


class Loop:
    """One `fit`: what it needs, and where it is."""

    def __init__(
        self,
        state: TrainingState,
        samples: Samples,
        validation: Samples | None,
        batch_size: int,
        shuffle: bool,
        callbacks: list[Callback],
        progress: Progress,
        observer: Observer | None = None,
        epochs: int = 1,
        keeper: "Keeper | None" = None,
    ) -> None:
        self.state, self.samples, self.validation = state, samples, None
        if validation is not None:
            self.validation = NetworkEvaluation(state, validation, batch_size)
        self.batch_size = batch_size
        self.callbacks, self.progress, self.observer = callbacks, progress, observer
        self.history = state.history
        self.orders = Orders(state.seed, batch_size, shuffle)
        self.rollback = state.rollback()
        self.steps = math.ceil(samples.count / batch_size)
        self.keeper = keeper
        # Batches of the first epoch that were done before its checkpoint.
        self.begun = 0 if keeper is None else keeper.batch
        self.cut = False  # whether a signal has ended the training
        self.block, looked_at = None, validation is not None or observer is not None
        with state.backend.active():
            if state.backend.is_host and not state.eager:
                batches = (samples, self.orders, batch_size, self.rollback)
                self.block = EpochBlock(state, *batches, 1 if looked_at else epochs)
                self.rows = self.block.rows[0]
                self.losses = self.block.losses[: self.steps]
            else:
                self.rows = state.backend.zeros((samples.count,), np.int64)
                # The losses of an epoch stay on the device until it ends.
                self.losses = state.backend.zeros((self.steps,), state.dtype)
            parts = (samples, batch_size, self.rows, self.losses)
            self.graphs = graph_epoch(state, *parts)

    def run(self, epochs: int) -> History:
        """Train; callbacks see the end however it comes."""
        state, keeper = self.state, self.keeper
        state.stop = ""
        interrupt = Interrupt(terminate=keeper is not None and keeper.keeps)
        ended = False
        try:
            with self.observer or nullcontext():
                self._epochs(epochs, interrupt)
                if (error := overflow(state)) is not None:
                    raise error
            ended = not self.cut
        finally:
            if keeper is not None:
                keeper.end(ended)
        self.history.stopped = state.stop
        if self.cut and not self.progress.verbose:
            # The script goes on: this must not be taken for a finished training.
            complain(f"fit: {state.stop}; returning")
        if state.stop:
            self.progress.note(f"stopped: {state.stop}")
        interrupt.pass_on()
        return self.history

    def _epochs(self, epochs: int, interrupt: Interrupt) -> None:
        state, keeper = self.state, self.keeper
        with ExitStack() as ends:
            for callback in reversed(self.callbacks):  # the last in is the first out
                ends.callback(callback.on_fit_end, state)
            for callback in self.callbacks:
                callback.on_fit_begin(state)
            if keeper is not None:
                keeper.go_on(self.steps)
            with interrupt, np.errstate(all="ignore"):
                epoch = len(self.history)
                while epoch < epochs and not state.stop:
                    epoch += self._some(epoch, epochs, interrupt)
                    if keeper is not None and not state.stop:
                        keeper.look(0, partial(self._losses, 0))

    def _cut(self, interrupt: Interrupt, epoch: int, batch: int) -> None:
        """A signal has asked to end the training after `batch` of `epoch`."""
        self.cut = True
        self.state.stop = f"{interrupt.word} in epoch {epoch} after batch {batch}"

    def _some(self, done: int, epochs: int, interrupt: Interrupt) -> int:
        """The next epochs, one of them or several together; how many."""
        block, count = None if self.begun else self.block, 0
        if block is not None:
            most = max_epochs_between_calls(self.callbacks, self.state, epochs - done)
            ahead = block.ahead(most)
            finish = partial(self._finish, seen=self.samples.count, tell=True)
            if ahead > 1:
                with self.state.model.access.writing:
                    count = block.run_epochs(ahead, finish)
        if not count:
            self._epoch(done + 1, epochs, interrupt)
            return 1
        if interrupt.asked and not self.state.stop:
            if self.keeper is not None:
                self.keeper.keep(0, self._losses(0))
            self._cut(interrupt, done + count, self.steps)
        return count

    def _epoch(self, epoch: int, epochs: int, interrupt: Interrupt) -> None:
        state, count, keeper = self.state, self.samples.count, self.keeper
        began, begun = time.perf_counter(), self.begun
        done, self.begun = begun, 0
        rows = self.orders.of(state.epochs_done, count)
        bar = self.progress.bar(self.steps, epoch, epochs)
        with state.backend.active(), bar as advance:
            if not self.rollback.each_step:
                self.rollback.keep()
            state.backend.upload(self.rows, rows)
            if keeper is not None and begun:
                state.backend.upload(self.losses[:begun], keeper.losses)
                advance(begun)
            if self.graphs is not None:
                keep_full_batch(self.samples, self.graphs.batch, self.rows)
                first = state.steps_done - begun
                rates = state.rates.of(first, self.steps)
                self.graphs.start_epoch(rates, first + 1, begun)
            while done < self.steps and not state.stop:
                with state.model.access.writing:
                    taken = self._steps(done, interrupt)
                done += taken
                advance(taken)
                if interrupt.asked:
                    self._cut(interrupt, epoch, done)
                elif keeper is not None and done < self.steps:
                    keeper.look(done, partial(self._losses, done))
            losses = self._losses(done)
            if not self.rollback.each_step:
                with state.model.access.writing:
                    self._check(losses, begun)
        if keeper is not None and self.cut:
            keeper.keep(done, losses)
        weights = self.samples.weights(rows, self.batch_size)[:done]
        seen = min(done * self.batch_size, count) - begun * self.batch_size
        seconds = time.perf_counter() - began
        if self.block is not None:
            self.block.seconds = seconds
        self._finish(float(mean_loss(losses, weights)), seconds, seen)

    def _losses(self, done: int) -> np.ndarray[Any, Any]:
        """Those of the first `done` batches of this epoch, on the host."""
        losses: np.ndarray[Any, Any] = self.state.backend.to_numpy(self.losses)
        return losses[:done]

    def _steps(self, i: int, interrupt: Interrupt) -> int:
        """Batch i, and others after it where they are one record; how many."""
        state = self.state
        look = self.steps if self.observer is None else self.observer.next_look(i)
        if self.observer is not None and i == look:
            self.observer.watch(self._step, i)
            if self.graphs is not None:
                self.graphs.skip_to(i + 1)
            return 1
        if self.keeper is not None:
            look = min(look, self.keeper.limit(i))
        if self.graphs is not None:
            step, reached = self.graphs.run(i, look)
            state.steps_done += reached - i
            state.set_last_step(step)
            return reached - i
        if self.block is not None:
            return self.block.run(i, i + 1 if interrupt.asked else look) - i
        self._step(i)
        return 1

    def _step(self, i: int) -> None:
        """Batch i; on the host a bad step stops before its update."""
        state = self.state
        if self.rollback.each_step:
            self.rollback.keep()
        step = self._gradients(i)
        self.losses[i : i + 1] = step.loss.reshape(-1)
        if state.backend.is_host:
            loss = float(step.loss[0, 0])
            if not (math.isfinite(loss) and all_finite(state.flat_gradients)):
                raise state.diverged(self.rollback, step, loss)
        step.run("update")
        state.steps_done += 1

    def _gradients(self, i: int) -> TrainingStep:
        """Gather batch i, compute its gradients and loss."""
        state, count = self.state, self.samples.count
        start = i * self.batch_size
        size = min(self.batch_size, count - start)
        step = state.training_step(self.samples.kind(size))
        step.unbind()
        if not keep_full_batch(self.samples, step.batch, self.rows):
            self.samples.gather(self.rows[start : start + size], step.batch)
        state.set_scalars()
        step.run("gradients")
        step.run("loss")
        state.set_last_step(step)
        return step

    def _check(self, losses: np.ndarray[Any, Any], begun: int) -> None:
        """On a device: go back to the first bad step of the epoch, and tell of it.

        Args:
            losses: of the batches that are done.
            begun: those done before what `rollback` has kept.
        """
        bad = np.flatnonzero(~np.isfinite(losses))
        if not len(bad):
            return
        state, first = self.state, int(bad[0])
        kept = state.steps_done - len(losses) + begun
        self.rollback.restore()
        state.steps_done = kept
        for i in range(begun, first):
            self._gradients(i).run("update")
            state.steps_done += 1
        step, number = self._gradients(first), state.steps_done + 1
        error = divergence(state, step, number, float(losses[first]))
        self.rollback.restore()
        state.steps_done = kept
        raise error

    def _finish(
        self, loss: float, seconds: float, seen: int, tell: bool = False
    ) -> None:
        """The epoch's row of the history; its callbacks are told.

        Args:
            loss: the mean of its batches.
            seconds: that it took.
            seen: samples.
            tell: also if training has been stopped.
        """
        state = self.state
        row = {"loss": loss}
        if self.validation is not None and not state.stop:
            scores = self.validation.run(state.metrics)
            row |= {f"val_{name}": value for name, value in scores.items()}
        row["learning_rate"] = state.rates.at(max(state.steps_done - 1, 0))
        row["seconds"] = seconds
        row["samples_per_second"] = seen / max(seconds, 1e-9)
        state.epochs_done += 1
        self.history.rows.append(row)
        if tell or not state.stop:
            for callback in self.callbacks:
                callback.on_epoch_end(state, row)
        self.progress.epoch(self.history)
