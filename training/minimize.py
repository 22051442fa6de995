"""Full-batch minimisers on a Trainer: L-BFGS, guesses, grids, populations."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from xpnet.common import (
    check_number,
    check_optional_flag,
    check_whole,
    explains_arguments,
)
from xpnet.common.arrays import NDArray
from xpnet.common.console import complain
from xpnet.execution.interrupt import Interrupt
from xpnet.optim import Iterate, Minimizer, Objective, StartError, get_minimizer
from xpnet.training.callbacks import Callback, check_callbacks, history_for
from xpnet.training.checkpoint_callback import refuse_checkpoints
from xpnet.training.data import Samples, samples_of, validation_of
from xpnet.training.divergence import DivergenceError
from xpnet.training.evaluate import NetworkEvaluation, check_metrics_for, rows_of
from xpnet.training.history import History
from xpnet.training.progress import Progress
from xpnet.training.trainer import Trainer


@explains_arguments
def minimize(
    trainer: Trainer,
    x: Any,
    y: Any,
    method: str | Minimizer = "lbfgs",
    steps: int = 100,
    l1: float = 0.0,
    l2: float = 0.0,
    validation: tuple[Any, ...] | None = None,
    callbacks: Sequence[Callback] | Callback = (),
    sample_weight: Any = None,
    class_weight: Any = None,
    verbose: bool | None = None,
) -> History:
    """Minimise the loss over all samples at once, from the trainer's weights.

        J = Σᵢ wᵢ lᵢ / Σ w + l1 Σ|W| + ½ l2 Σ W²

    The trainer's own update rule is not used, its penalties and its count of steps
    neither; every iteration counts as an epoch. Vectors are float64 on the host, the
    loss is computed as the trainer computes it: in float32 L-BFGS ends where its
    rounding begins.

    Args:
        trainer: whose weights are moved.
        x, y, sample_weight, class_weight, validation: as for `Trainer.fit`.
        method: a name (lbfgs, random, grid, genetic) or a `Minimizer` of
            `xpnet.optim`, such as `xn.optim.RandomSearch(1000)`.
        steps: iterations at most.
        l1, l2: penalties on weights, never on biases; l1 for methods that use no
            gradient, since |W| has none at 0.
        callbacks: called after every iteration; weights that they set are not seen by
            the method.
        verbose: a table row an iteration; None prints on a terminal only.

    Returns:
        The `History`, also found as `trainer.history`. "loss" is without the
        penalties, "objective" is J where there are any, "evaluations" counts passes
        over the data so far, "learning_rate" is the line search's α (NaN where there
        is none). `history.stopped` says why it ended before the last step.

    Raises:
        ValueError, TypeError: unfit data or arguments; a layer that draws noise, with
            which the objective is another one every time; a layer with max_norm, a
            trainer with averages; l1 with a gradient.
        DivergenceError: a loss or gradient that is not finite at the start.
    """
    method = get_minimizer(method)
    steps = check_whole("", "steps", steps, 1)
    penalties = [_penalty(name, value) for name, value in (("l1", l1), ("l2", l2))]
    hooks = check_callbacks(callbacks)
    progress = Progress(check_optional_flag("", "verbose", verbose))
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer: expected a Trainer, got {trainer!r}")
    refuse_checkpoints(hooks, "minimize")
    _check_fit(trainer)
    if l1 and method.uses_gradient:
        raise ValueError(
            f"l1: {type(method).__name__} needs a gradient everywhere, |W| has none at "
            "0; use l2, or l1 with an update rule and fit"
        )
    extra = ("objective", "evaluations") if l1 or l2 else ("evaluations",)
    with trainer.model.access.training():
        history = history_for(trainer, hooks, validation is not None, extra)
        samples = samples_of(trainer, x, y, sample_weight, class_weight)
        held = None if validation is None else validation_of(trainer, validation)
        if held is not None:
            check_metrics_for(trainer, held, trial=True)
        with trainer.model.access.changing, trainer.unbuild_on_error():
            objective = FullBatch(trainer, samples, *penalties)
        trainer.history = history
        run = _Run(trainer, objective, method, held, hooks, progress)
        return run.run(steps)


def _penalty(name: str, value: Any) -> float:
    return check_number("minimize", value, f"{name} >= 0", lambda v: v >= 0.0)


def _check_fit(trainer: Trainer) -> None:
    """Raises ValueError for what a step of an update rule does and no minimiser can."""
    if trainer.average is not None:
        raise ValueError(
            "minimize: the trainer averages the weights of its steps, and predicts "
            "with averages that a minimiser does not move; leave average out, or train "
            "with an update rule"
        )
    for i, layer in enumerate(trainer.model.layers):
        if layer.uses_noise:
            raise ValueError(
                f"minimize: layer {i} ({type(layer).__name__}) draws anew every time, "
                "and a full-batch method needs an objective that stays the same; leave "
                "it out, or train with an update rule"
            )
        if getattr(layer, "max_norm", None) is not None:
            raise ValueError(
                f"minimize: layer {i} ({type(layer).__name__}) keeps its weights "
                "within max_norm after each update, and a minimiser knows no bounds; "
                "use l2, or train with an update rule"
            )


class FullBatch(Objective):
    """J of a trainer on one batch of all samples, as a function of a flat vector.

    The vector holds the trained parameters without the padding between them, weights
    first.
    """

    def __init__(
        self, trainer: Trainer, samples: Samples, l1: float, l2: float
    ) -> None:
        self.trainer, self.samples, self.l1, self.l2 = trainer, samples, l1, l2
        self.epsilon = float(np.finfo(trainer.dtype).eps)
        kind = samples.kind(samples.count)
        self.step = trainer.training_step(kind)
        self.guess = trainer.evaluation_step(kind, targets=True)
        every = np.arange(samples.count)
        self.total = samples.total
        slots = trainer.model.layout.trained
        places = [np.arange(slot.start, slot.start + slot.size) for slot in slots]
        self._places = np.concatenate(places)
        self.weights = sum(slot.size for slot in slots if slot.parameter.penalized)
        buffers = trainer.model.buffers
        assert buffers is not None
        self.buffers = buffers
        self._full = np.zeros(buffers.params.shape, trainer.dtype)
        self._at: NDArray | None = None  # where the gradients in the buffers are of
        with trainer.backend.active():
            rows = trainer.backend.asarray(every)
            self.step.unbind()
            for batch in (self.step.batch, self.guess.batch):
                samples.gather(rows, batch)
            self.step.batch.holds = None

    def start(self) -> NDArray:
        """The trainer's parameters as they are."""
        return self._read(self.buffers.params)

    def put(self, x: NDArray) -> None:
        """Make `x` the trainer's parameters."""
        self._at = None
        self._full[self._places] = x
        self.trainer.backend.upload(self.buffers.params, self._full)

    def settle(self, x: NDArray) -> None:
        """Leave the trainer at `x`: its parameters, gradients and statistics."""
        if self.buffers.state.size or self._at is None or (self._at != x).any():
            self.put(x)
            self.step.run("gradients")
        self.trainer.set_last_step(self.step)

    def penalty(self, x: NDArray) -> float:
        """l1 Σ|W| + ½ l2 Σ W²."""
        w = x[: self.weights]
        return self.l1 * float(np.abs(w).sum()) + 0.5 * self.l2 * float(w @ w)

    def value(self, x: NDArray) -> float:
        """J: forward alone, where no running statistics make training different."""
        if self.buffers.state.size:
            return self.slope(x)[0]
        self.evaluations += 1
        self.put(x)
        self.guess.run()
        total = float(self.trainer.backend.to_numpy(self.guess.total).sum())
        return total / self.total + self.penalty(x)

    def slope(self, x: NDArray) -> tuple[float, NDArray]:
        """(J, ∂J/∂x)."""
        self.evaluations += 1
        self.put(x)
        with self._statistics_kept():
            self.step.run("gradients")
            self.step.run("loss")
        loss = float(self.trainer.backend.to_numpy(self.step.loss).sum())
        self._at = x
        g = self._read(self.buffers.grads)
        g[: self.weights] += self.l2 * x[: self.weights]
        return loss + self.penalty(x), g

    @contextmanager
    def _statistics_kept(self) -> Iterator[None]:
        """A trial leaves no trace in running statistics."""
        state = self.buffers.state
        kept = state.copy() if state.size else None
        yield
        if kept is not None:
            state[...] = kept

    def _read(self, array: Any) -> NDArray:
        host = self.trainer.backend.to_numpy(array)
        return np.asarray(host[self._places], np.float64)


class _Run:
    """One `minimize`: what it needs, and where it is."""

    def __init__(
        self,
        trainer: Trainer,
        objective: FullBatch,
        method: Minimizer,
        validation: Samples | None,
        callbacks: list[Callback],
        progress: Progress,
    ) -> None:
        self.trainer, self.objective, self.method = trainer, objective, method
        self.validation, self.callbacks = None, callbacks
        if validation is not None:
            rows = rows_of(None, validation.count)
            self.validation = NetworkEvaluation(trainer, validation, rows)
        self.progress, self.history = progress, trainer.history

    def run(self, steps: int) -> History:
        """Iterate; callbacks see the end however it comes."""
        trainer = self.trainer
        trainer.stop = ""
        with ExitStack() as ends:
            for callback in reversed(self.callbacks):  # the last in is the first out
                ends.callback(callback.on_fit_end, trainer)
            for callback in self.callbacks:
                callback.on_fit_begin(trainer)
            ends.enter_context(trainer.backend.active())
            ends.enter_context(np.errstate(all="ignore"))
            self._iterate(steps, ends.enter_context(Interrupt()))
        self.history.stopped = trainer.stop
        if trainer.stop.startswith("interrupted") and not self.progress.verbose:
            # As in fit: this must not be taken for a finished training.
            complain(f"minimize: {trainer.stop}; returning")
        if trainer.stop:
            self.progress.note(f"stopped: {trainer.stop}")
        return self.history

    def _iterate(self, steps: int, interrupt: Interrupt) -> None:
        trainer, objective = self.trainer, self.objective
        alone = trainer.model.access.writing
        best = objective.start()
        began = time.perf_counter()
        try:
            points = self.method.iterate(objective, best)
            with alone:
                self._begin(points)
            for i in range(1, steps + 1):
                with alone:
                    point = next(points, None)
                    if point is None:
                        break
                    best = point.x
                    objective.settle(best)
                now = time.perf_counter()
                self._finish(point, now - began)
                began = now
                if trainer.stop:
                    break
                if point.note or interrupt.asked:
                    trainer.stop = point.note or f"interrupted after iteration {i}"
                    break
        except BaseException:
            with alone:
                objective.settle(best)
            raise

    def _begin(self, points: Iterator[Iterate]) -> None:
        """The start, which must be finite; where it is the minimum, nothing follows."""
        try:
            self.trainer.stop = next(points).note
        except StartError as error:
            raise DivergenceError(f"minimize: {error}") from None

    def _finish(self, point: Iterate, seconds: float) -> None:
        """The iteration's row of the history."""
        trainer, objective = self.trainer, self.objective
        row = {"loss": point.value - objective.penalty(point.x)}
        if objective.l1 or objective.l2:
            row["objective"] = point.value
        if self.validation is not None:
            scores = self.validation.run(trainer.metrics)
            row |= {f"val_{name}": score for name, score in scores.items()}
        before = self.history.rows[-1]["evaluations"] if self.history.rows else 0.0
        row["evaluations"] = float(objective.evaluations)
        row["learning_rate"] = point.step
        row["seconds"] = seconds
        passes = objective.evaluations - before
        row["samples_per_second"] = (
            passes * objective.samples.count / max(seconds, 1e-9)
        )
        trainer.epochs_done += 1
        self.history.rows.append(row)
        for callback in self.callbacks:
            callback.on_epoch_end(trainer, row)
        self.progress.epoch(self.history)
