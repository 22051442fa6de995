"""The fixed memory of one kind of batch."""

from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np

from xpnet.backend import Array, Shape
from xpnet.layers import Sequential
from xpnet.trace import batch_sum


@dataclass(frozen=True)
class BatchSpec:
    """What makes two batches run the same program.

    Attributes:
        shape: of x, (..., batch, *sample).
        labels: whether y holds labels rather than rows of targets.
        weighted: whether samples have weights.
    """

    shape: Shape
    labels: bool
    weighted: bool


class Batch:
    """The fixed buffers of one kind of batch.

    Attributes:
        x: (..., batch, *sample).
        y: labels (batch, 1) int32, or targets (batch, n) in the model's dtype.
        w: weights (batch, 1), or None.
    """

    def __init__(self, kind: BatchSpec, model: Sequential) -> None:
        assert model.buffers is not None
        backend, dtype = model.buffers.backend, model.buffers.dtype
        samples = kind.shape[: len(kind.shape) - len(model.sample_shape or ())]
        width = 1 if kind.labels else model.n_outputs
        with backend.active():
            self.x = backend.empty(kind.shape, dtype)  # often read in place, not here
            y_dtype = np.int32 if kind.labels else dtype
            self.y = backend.zeros((*samples, width), y_dtype)
            self.w = backend.zeros((*samples, 1), dtype) if kind.weighted else None
            self.classes = backend.asarray(
                np.arange(model.n_outputs, dtype=np.int32)[None]
            )
        self.kind = kind
        # What refers to the samples that lie in it as a whole, without keeping them.
        self.holds: ref[object] | None = None
        self.samples = samples[-1]
        self.y_rows = self.y[..., 0] if kind.labels else self.y
        self.w_rows = None if self.w is None else self.w[..., 0]

    def targets(self, y: Array, dtype: Any) -> Array:
        """y as t of the output's shape: labels become one-hot rows."""
        if not self.kind.labels:
            return y
        return (y == self.classes).astype(dtype)

    def shares(self, w: Array | None) -> Any:
        """wᵢ / Σ w, of shape (..., batch, 1); without weights 1 / batch."""
        if w is None:
            return 1.0 / self.samples
        total = batch_sum(w)  # 0 where all weights are: then so is the gradient
        return w / np.where(total > 0.0, total, 1.0)
