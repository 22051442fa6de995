"""From the caller's arrays to a program with a checked batch in its buffers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.execution.step import Kind, TrainingStep
from xpnet.training import inputs

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


class Staging:
    """Checks the batches of `Trainer.step` and hands them to their programs.

    What depends on shapes and dtypes alone is checked when these come first; values
    (finite, labels in range) are checked every time.
    """

    def __init__(self, trainer: "Trainer") -> None:
        self._trainer = trainer
        self._accepted: dict[tuple[Any, ...], TrainingStep] = {}

    def clear(self) -> None:
        """Forget the programs."""
        self._accepted.clear()

    def forget(self, unless: Iterable[TrainingStep]) -> None:
        """Forget the programs that are kept no longer."""
        kept = set(unless)
        self._accepted = {k: s for k, s in self._accepted.items() if s in kept}

    def stage(self, x: Any, y: Any, sample_weight: Any) -> TrainingStep:
        """The program for this batch, ready to run."""
        arrays = type(x) is np.ndarray and type(y) is np.ndarray
        if not arrays or sample_weight is not None or not self._trainer.backend.is_host:
            return self._stage(x, y, sample_weight)
        signature = (x.shape, x.dtype, y.shape, y.dtype)
        step = self._accepted.get(signature)
        self._trainer.check_owner()
        if step is not None and step.accepts(x, y):
            if step is not self._trainer.newest:
                self._trainer.training_step(step.batch.kind)  # the newest by now
            step.read(x)
            np.copyto(step.batch.y_rows, y, "unsafe")
            return step
        step = self._stage(x, y, None)
        if y.shape == step.batch.y_rows.shape:
            self._accepted[signature] = step
        return step

    def _stage(self, x: Any, y: Any, sample_weight: Any) -> TrainingStep:
        """Check everything about a batch and copy it into the buffers."""
        trainer = self._trainer
        with trainer.left_as_it_was():
            x, y, w = self._checked(x, y, sample_weight)
        labels = inputs.is_labels(y, trainer.loss_function)
        step = trainer.training_step(Kind(x.shape, labels, w is not None))
        step.unbind()
        backend, batch = trainer.backend, step.batch
        batch.holds = None
        backend.upload(batch.x, x)
        backend.upload(batch.y_rows, y)
        if w is not None:
            backend.upload(batch.w_rows, w)
        return step

    def _checked(self, x: Any, y: Any, w: Any) -> tuple[Array, ...]:
        trainer = self._trainer
        backend, model = trainer.backend, trainer.model
        x = inputs.check_x(x, model.sample_shape, backend)
        trainer.build(x.shape[1:])
        samples = x.shape[0]
        y = inputs.check_y(y, samples, trainer.loss_function, model.n_outputs, backend)
        w = inputs.check_weights(w, samples, backend)
        for name, values in (("x", x), ("y", y)):
            if backend.is_host and not all_finite(values):
                inputs.check_finite(values, name, backend)
            inputs.check_fits(values, name, trainer.dtype)
        return x, y, w
