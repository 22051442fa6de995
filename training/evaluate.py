"""Predictions, loss and metrics over a data set, batch by batch."""

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_whole
from xpnet.common.arrays import NDArray
from xpnet.execution.step import BatchSpec
from xpnet.training.data import Samples
from xpnet.training.divergence import check_outputs
from xpnet.training.metric import Metric
from xpnet.training.metrics import check_metrics
from xpnet.training.state import TrainingState

PREDICT_ROWS = 1024  # samples a batch, where the caller names no batch size


def rows_of(batch_size: int | None, count: int) -> int:
    """Samples a batch of an evaluation of `count`; raises ValueError below 1."""
    if batch_size is None:
        return min(PREDICT_ROWS, count)
    return check_whole("", "batch_size", batch_size, 1)


def check_metrics_for(
    state: TrainingState, samples: Samples, trial: bool = False
) -> None:
    """Raises ValueError or TypeError for a metric without meaning for these samples."""
    shapes = (samples.host_y, state.model.n_outputs, samples.host_w)
    check_metrics(state.metrics, *shapes, trial)


def predict(state: TrainingState, x: Array, batch_size: int) -> NDArray:
    """link(z) for x (samples, *sample), as a NumPy array (samples, n)."""
    backend, n = state.backend, len(x)
    result = np.empty((n, state.model.n_outputs), state.dtype)
    with (
        np.errstate(all="ignore"),
        backend.active(),
        state.model.access.reading,
        state.in_turn,
    ):
        averaged = state.is_averaged
        for start in range(0, n, batch_size):
            rows = slice(start, min(start + batch_size, n))
            kind = BatchSpec((rows.stop - start, *x.shape[1:]), False, False)
            prediction = (kind, False, averaged)
            step = state.take_evaluation(prediction)
            backend.upload(step.batch.x, x[rows])
            step.run()
            result[rows] = backend.to_numpy(step.output)
            state.put_evaluation(prediction, step)
        check_outputs(state, result, "predict")
    return result


def evaluate(
    state: TrainingState, samples: Samples, metrics: dict[str, Metric], batch_size: int
) -> dict[str, float]:
    """{"loss": Σ w l / Σ w, metric: value...} over `samples`."""
    backend, total = state.backend, 0.0
    outputs = np.empty((samples.count, state.model.n_outputs), state.dtype)
    with (
        np.errstate(all="ignore"),
        backend.active(),
        state.model.access.reading,
        state.in_turn,
    ):
        averaged = state.is_averaged
        for start in range(0, samples.count, batch_size):
            stop = min(start + batch_size, samples.count)
            rows = backend.asarray(np.arange(start, stop))
            prediction = (samples.kind(stop - start), True, averaged)
            step = state.take_evaluation(prediction)
            samples.gather(rows, step.batch)
            step.run()
            outputs[start:stop] = backend.to_numpy(step.output)
            total += float(backend.to_numpy(step.total).sum())
            state.put_evaluation(prediction, step)
    result = {"loss": total / samples.total}
    for name, metric in metrics.items():
        result[name] = metric.score(outputs, samples.host_y, samples.host_w)
    return result
