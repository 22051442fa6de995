"""A trainer's loss over all samples as a function of one vector of weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.optim import Objective
from xpnet.training.data import Samples

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

Vector = np.ndarray[Any, Any]


class FullBatch(Objective):
    """J of a trainer on one batch of all samples, as a function of a flat vector.

    The vector holds the trained parameters without the padding between them, weights
    first.
    """

    def __init__(
        self, trainer: "Trainer", samples: Samples, l1: float, l2: float
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
        self._at: Vector | None = None  # where the gradients in the buffers are of
        with trainer.backend.active():
            rows = trainer.backend.asarray(every)
            self.step.unbind()
            for batch in (self.step.batch, self.guess.batch):
                samples.gather(rows, batch)
            self.step.batch.holds = None

    def start(self) -> Vector:
        """The trainer's parameters as they are."""
        return self._read(self.buffers.params)

    def put(self, x: Vector) -> None:
        """Make `x` the trainer's parameters."""
        self._at = None
        self._full[self._places] = x
        self.trainer.backend.upload(self.buffers.params, self._full)

    def settle(self, x: Vector) -> None:
        """Leave the trainer at `x`: its parameters, gradients and statistics."""
        if self.buffers.state.size or self._at is None or (self._at != x).any():
            self.put(x)
            self.step.run("gradients")
        self.trainer.took(self.step)

    def penalty(self, x: Vector) -> float:
        """l1 Σ|W| + ½ l2 Σ W²."""
        w = x[: self.weights]
        return self.l1 * float(np.abs(w).sum()) + 0.5 * self.l2 * float(w @ w)

    def value(self, x: Vector) -> float:
        """J: forward alone, where no running statistics make training different."""
        if self.buffers.state.size:
            return self.slope(x)[0]
        self.evaluations += 1
        self.put(x)
        self.guess.run()
        total = float(self.trainer.backend.to_numpy(self.guess.total).sum())
        return total / self.total + self.penalty(x)

    def slope(self, x: Vector) -> tuple[float, Vector]:
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

    def _read(self, array: Any) -> Vector:
        host = self.trainer.backend.to_numpy(array)
        return np.asarray(host[self._places], np.float64)
