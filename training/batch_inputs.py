"""From the caller's arrays to a program with a checked batch in its buffers."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.training import inputs
from xpnet.training.state import TrainingState


class BatchInputs:
    """Checks the batches of `Trainer.step` and hands them to their programs.

    What depends on shapes and dtypes alone is checked when these come first; values
    (finite, labels in range) are checked every time.
    """

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._accepted = state._accepted  # which forgets steps that are not kept

    def stage(self, x: Any, y: Any, sample_weight: Any) -> TrainingStep:
        """The program for this batch, ready to run."""
        arrays = type(x) is np.ndarray and type(y) is np.ndarray
        if not arrays or sample_weight is not None or not self._state.backend.is_host:
            return self._stage(x, y, sample_weight)
        signature = (x.shape, x.dtype, y.shape, y.dtype)
        step = self._accepted.get(signature)
        self._state.check_owner()
        if step is not None and step.accepts(x, y):
            if step is not self._state.last_step:
                self._state.training_step(step.batch.kind)  # the newest by now
            step.read(x)
            np.copyto(step.batch.y_rows, y, "unsafe")
            return step
        step = self._stage(x, y, None)
        if y.shape == step.batch.y_rows.shape:
            self._accepted[signature] = step
        return step

    def _stage(self, x: Any, y: Any, sample_weight: Any) -> TrainingStep:
        """Check everything about a batch and copy it into the buffers."""
        with np.errstate(all="ignore"):
            return self._copied(*self._checked(x, y, sample_weight))

    def _copied(self, x: Array, y: Array, w: Array | None) -> TrainingStep:
        """The step for a batch, which lies in its buffers."""
        state = self._state
        labels = inputs.is_labels(y, state.loss_function)
        step = state.training_step(BatchSpec(x.shape, labels, w is not None))
        step.unbind()
        backend, batch = state.backend, step.batch
        batch.holds = None
        backend.upload(batch.x, x)
        backend.upload(batch.y_rows, y)
        if w is not None:
            backend.upload(batch.w_rows, w)
        return step

    def _checked(self, x: Any, y: Any, w: Any) -> tuple[Array, ...]:
        state = self._state
        backend, model, loss = state.backend, state.model, state.loss_function
        with state.unbuild_on_error():
            x = inputs.check_x(x, model.sample_shape, backend)
            state.build(x.shape[1:])
            samples = x.shape[0]
            y = inputs.check_y(y, samples, loss, model.n_outputs, backend)
            w = inputs.check_weights(w, samples, backend)
            for name, values in (("x", x), ("y", y)):
                if backend.is_host and not all_finite(values):
                    inputs.check_finite(values, name, backend)
                inputs.check_fits(values, name, state.dtype)
        return x, y, w
