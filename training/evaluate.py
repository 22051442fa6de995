"""Predictions, loss and metrics over a data set, batch by batch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array
from xpnet.execution.step import Kind
from xpnet.training.data import Samples
from xpnet.training.divergence import check_outputs
from xpnet.training.metrics import Metric

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer

Values = np.ndarray[Any, Any]


def predict(trainer: "Trainer", x: Array, batch_size: int) -> Values:
    """link(z) for x (samples, *sample), as a NumPy array (samples, n)."""
    backend, n = trainer.backend, len(x)
    result = np.empty((n, trainer.model.n_outputs), trainer.dtype)
    with (
        np.errstate(all="ignore"),
        backend.active(),
        trainer.model.access.reading,
        trainer.in_turn,
    ):
        averaged = trainer.is_averaged
        for start in range(0, n, batch_size):
            rows = slice(start, min(start + batch_size, n))
            kind = Kind((rows.stop - start, *x.shape[1:]), False, False)
            guess = (kind, False, averaged)
            step = trainer.take_evaluation(guess)
            backend.upload(step.batch.x, x[rows])
            step.run()
            result[rows] = backend.to_numpy(step.output)
            trainer.put_evaluation(guess, step)
        check_outputs(trainer, result, "predict")
    return result


def evaluate(
    trainer: "Trainer", samples: Samples, metrics: dict[str, Metric], batch_size: int
) -> dict[str, float]:
    """{"loss": Σ w l / Σ w, metric: value...} over `samples`."""
    backend, total = trainer.backend, 0.0
    outputs = np.empty((samples.count, trainer.model.n_outputs), trainer.dtype)
    with (
        np.errstate(all="ignore"),
        backend.active(),
        trainer.model.access.reading,
        trainer.in_turn,
    ):
        averaged = trainer.is_averaged
        for start in range(0, samples.count, batch_size):
            stop = min(start + batch_size, samples.count)
            rows = backend.asarray(np.arange(start, stop))
            guess = (samples.kind(stop - start), True, averaged)
            step = trainer.take_evaluation(guess)
            samples.gather(rows, step.batch)
            step.run()
            outputs[start:stop] = backend.to_numpy(step.output)
            total += float(backend.to_numpy(step.total).sum())
            trainer.put_evaluation(guess, step)
    result = {"loss": total / samples.total}
    for name, metric in metrics.items():
        result[name] = metric.score(outputs, samples.host_y, samples.host_w)
    return result
