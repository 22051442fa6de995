"""Predictions, losses and metrics of all networks of a stack at once."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.training.bank import Bank
from xpnet.training.dataset import Samples
from xpnet.training.gather import Gather, Rows, padded
from xpnet.training.step import EvaluationStep, Kind

Values = np.ndarray[Any, Any]


def predict(
    bank: Bank, x: Array, rows: Sequence[Rows], batch_size: int
) -> list[Values]:
    """link(z) of each network for its rows of x, (rows, n) each.

    Args:
        bank: the networks.
        x: (samples, *sample) on their device and of their dtype, or a `np.memmap`.
        rows: which samples each predicts.
        batch_size: samples of each at a time.
    """
    backend, first = bank.backend, bank.trainers[0]
    k, width = len(rows), max(map(len, rows))
    lane, n = bank.lane(0, k), first.model.n_outputs
    result = np.empty((k, width, n), first.dtype)
    with np.errstate(all="ignore"), backend.active(), bank.averaged():
        table = backend.asarray(padded(rows, width))
        for start in range(0, width, batch_size):
            part = slice(start, min(start + batch_size, width))
            kind = Kind((part.stop - start, *x.shape[1:]), False, False)
            step = lane.evaluation_step(kind, targets=False)
            indices = backend.zeros(step.batch.y.shape[:-1], np.int64)
            indices[...] = table[:, part]
            function, arguments = backend.take(x, indices, step.batch.x)
            function(*arguments)
            step.run()
            result[:, part] = backend.to_numpy(step.output)
    return [outputs[: len(own)] for outputs, own in zip(result, rows, strict=True)]


class Evaluation:
    """Scores of each network on samples of its own.

    Args:
        bank: the networks.
        samples: what they share.
        rows: which samples each is scored on.
        batch_size: samples of each at a time.
    """

    def __init__(
        self, bank: Bank, samples: Samples, rows: Sequence[Rows], batch_size: int
    ) -> None:
        self.bank, self.samples, self.rows = bank, samples, rows
        counts = np.array([len(own) for own in rows])
        self.width = int(counts.max())
        # Alike, so that one program may do for all of them.
        self.size = ceil(self.width / ceil(self.width / batch_size))
        backend, dtype = bank.backend, bank.trainers[0].dtype
        table = padded(rows, self.width)
        own = np.arange(self.width) < counts[:, None]
        w = own if samples.host_w is None else samples.host_w[table] * own
        self.totals = w.sum(axis=1, dtype=np.float64)
        self.weighted = samples.host_w is not None or not own.all()
        with backend.active():
            self._table = backend.asarray(table)
            self._w: Array = backend.asarray(w, dtype) if self.weighted else None
        self._gathers: dict[EvaluationStep, Gather] = {}

    def run(self) -> list[dict[str, float]]:
        """[{"loss": Σ w l / Σ w, metric: value, ...}, ...], one a network."""
        bank, samples = self.bank, self.samples
        backend, k = bank.backend, len(bank.trainers)
        first, lane = bank.trainers[0], bank.lane(0, len(bank.trainers))
        outputs = np.empty((k, self.width, first.model.n_outputs), first.dtype)
        totals = np.zeros(k)
        with np.errstate(all="ignore"), backend.active(), bank.averaged():
            for start in range(0, self.width, self.size):
                part = slice(start, min(start + self.size, self.width))
                kind = samples.kind(part.stop - start)
                kind = Kind(kind.shape, kind.labels, self.weighted)
                step = lane.evaluation_step(kind, targets=True)
                if step not in self._gathers:
                    self._gathers[step] = Gather(samples, step.batch)
                self._gathers[step].run(self._table[:, part])
                if step.batch.w_rows is not None:
                    step.batch.w_rows[...] = self._w[:, part]
                step.run()
                outputs[:, part] = backend.to_numpy(step.output)
                totals += backend.to_numpy(step.total).reshape(-1)
        return [self._scores(i, outputs[i], totals[i]) for i in range(k)]

    def _scores(self, i: int, outputs: Values, total: float) -> dict[str, float]:
        rows, samples = self.rows[i], self.samples
        w = None if samples.host_w is None else samples.host_w[rows]
        y = samples.host_y[rows]
        weight = self.totals[i]
        result = {"loss": float(total / weight) if weight > 0.0 else 0.0}
        for name, metric in self.bank.trainers[i].metrics.items():
            result[name] = float(metric(outputs[: len(rows)], y, w))
        return result
