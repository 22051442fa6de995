"""Predictions, losses and metrics of all networks of a stack at once."""

from collections.abc import Sequence
from concurrent.futures import Executor
from math import ceil
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import primitives
from xpnet.execution.evaluation import EvaluationBlocks, Stage
from xpnet.execution.step import BatchSpec, EvaluationStep
from xpnet.stack.group import NetworkGroup
from xpnet.stack.kept import Kept
from xpnet.stack.parameters import StackedParameters
from xpnet.training.data import Gather, Rows, Samples
from xpnet.training.trainer import Trainer

Values = np.ndarray[Any, Any]


def stacked(
    trainers: Sequence[Trainer], kept: Kept[NetworkGroup], leaves_out: bool
) -> tuple[StackedParameters, list[int]]:
    """(parameters to predict with, the row of each network).

    Args:
        trainers: of the networks.
        kept: parameters of earlier calls.
        leaves_out: whether C is to compute some rows only, where it can.
    """
    settings = kept.settings(trainers)
    counts, rows = [0] * len(trainers), list(range(len(trainers)))
    found = kept.take(settings, counts, False, leaves_out)
    if found is None:
        return StackedParameters(trainers, False, settings), rows
    parameters, rows, _ = found
    parameters.take(trainers, rows, counts)
    return parameters, rows


def in_rows(
    parameters: StackedParameters, places: list[int], own: list[Rows]
) -> list[Rows]:
    """The samples of each row: those of its network, or of the first one."""
    found = [own[0]] * len(parameters.settings)
    for row, rows in zip(places, own, strict=True):
        found[row] = rows
    return found


def padded(rows: Sequence[Rows], width: int) -> Rows:
    """Row numbers of networks that see different numbers of samples, as (k, width).

    What is over repeats a network's first sample.
    """
    table = np.empty((len(rows), width), np.int64)
    for line, own in zip(table, rows, strict=True):
        line[: len(own)], line[len(own) :] = own, own[0]
    return table


def predict(
    parameters: StackedParameters, x: Array, rows: Sequence[Rows], batch_size: int
) -> list[Values]:
    """link(z) of each network for its rows of x, (rows, n) each.

    Args:
        parameters: the networks.
        x: (samples, *sample) on their device and of their dtype, or a `np.memmap`.
        rows: which samples each predicts.
        batch_size: samples of each at a time.
    """
    backend, first = parameters.backend, parameters.trainers[0]
    k, width = len(rows), max(map(len, rows))
    models, n = parameters.slice(0, k), first.model.n_outputs
    result = np.empty((k, width, n), first.dtype)
    with np.errstate(all="ignore"), backend.active(), parameters.averaged():
        table = backend.asarray(padded(rows, width))
        for start in range(0, width, batch_size):
            part = slice(start, min(start + batch_size, width))
            kind = BatchSpec((part.stop - start, *x.shape[1:]), False, False)
            step = models.evaluation_step(kind, targets=False)
            indices = backend.zeros(step.batch.y.shape[:-1], np.int64)
            indices[...] = table[:, part]
            function, arguments = primitives.take(backend, x, indices, step.batch.x)
            function(*arguments)
            step.run()
            result[:, part] = backend.to_numpy(step.output)
    return [outputs[: len(own)] for outputs, own in zip(result, rows, strict=True)]


class Evaluation:
    """Scores of each network on samples of its own.

    Args:
        parameters: the networks.
        samples: what they share.
        rows: which samples each is scored on.
        batch_size: samples of each at a time.
        pool, threads: see `NetworkBlocks.run`.
    """

    def __init__(
        self,
        parameters: StackedParameters,
        samples: Samples,
        rows: Sequence[Rows],
        batch_size: int,
        pool: Executor | None = None,
        threads: int = 1,
    ) -> None:
        self.parameters, self.samples, self.rows = parameters, samples, rows
        self._pool, self._threads = pool, threads
        counts = np.array([len(own) for own in rows])
        self.width = int(counts.max())
        # Alike, so that one program may do for all of them.
        self.size = ceil(self.width / ceil(self.width / batch_size))
        backend, dtype = parameters.backend, parameters.trainers[0].dtype
        table = padded(rows, self.width)
        own = np.arange(self.width) < counts[:, None]
        w = own if samples.host_w is None else samples.host_w[table] * own
        self.totals = w.sum(axis=1, dtype=np.float64)
        self.weighted = samples.host_w is not None or not own.all()
        with backend.active():
            self._table = backend.asarray(table)
            self._w: Array = backend.asarray(w, dtype) if self.weighted else None
        self._gathers: dict[EvaluationStep, Gather] = {}
        parts, shape = ceil(self.width / self.size), (len(rows), self.width)
        self._outputs = np.empty(
            (*shape, parameters.trainers[0].model.n_outputs), dtype
        )
        self._totals = np.empty((parts, len(rows)), dtype)
        self._blocks: EvaluationBlocks | None = None

    def run(self, networks: Sequence[int] | None = None) -> list[dict[str, float]]:
        """[{"loss": Σ w l / Σ w, metric: value, ...}, ...], one a network.

        Args:
            networks: those that are scored, others have no scores; None for all.
        """
        networks = range(len(self.rows)) if networks is None else networks
        parameters = self.parameters
        with (
            np.errstate(all="ignore"),
            parameters.backend.active(),
            parameters.averaged(),
        ):
            stages = self._stages()
            blocks = self._in_c(stages)
            if blocks is not None:
                blocks.run(networks, self._pool, self._threads)
            else:
                self._call(stages)
        totals = self._totals.sum(axis=0, dtype=np.float64)
        found: list[dict[str, float]] = [{} for _ in self.rows]
        for i in networks:
            found[i] = self._scores(i, self._outputs[i], totals[i])
        return found

    def _stages(self) -> list[Stage]:
        """The equal parts, and the short one that may be over."""
        models, stages = self.parameters.slice(0, len(self.rows)), []
        full, rest = divmod(self.width, self.size)
        for start, size, count in ((0, self.size, full), (full * self.size, rest, 1)):
            if size:
                kind = self.samples.kind(size)
                kind = BatchSpec(kind.shape, kind.labels, self.weighted)
                step = models.evaluation_step(kind, targets=True)
                stages.append(Stage(step, start, count))
        return stages

    def _in_c(self, stages: list[Stage]) -> EvaluationBlocks | None:
        """The evaluation in C; None where it goes call by call."""
        if not self.parameters.backend.is_host:
            return None
        if self._blocks is None or not self._blocks.fits(stages):
            samples, kept = self.samples, (self._outputs, self._totals)
            self._blocks = EvaluationBlocks(
                stages,
                (samples.x, samples.y),
                self._table,
                self._w,
                *kept,
                self.parameters.buffers.params[0].nbytes,
            )
        return self._blocks if self._blocks.possible else None

    def _call(self, stages: list[Stage]) -> None:
        to_numpy, number = self.parameters.backend.to_numpy, 0
        for stage in stages:
            step = stage.step
            if step not in self._gathers:
                self._gathers[step] = Gather(self.samples, step.batch)
            for i in range(stage.count):
                start = stage.start + i * step.batch.samples
                part = slice(start, start + step.batch.samples)
                self._gathers[step].run(self._table[:, part])
                if step.batch.w_rows is not None:
                    step.batch.w_rows[...] = self._w[:, part]
                step.run()
                self._outputs[:, part] = to_numpy(step.output)
                self._totals[number] = to_numpy(step.total).reshape(-1)
                number += 1

    def _scores(self, i: int, outputs: Values, total: float) -> dict[str, float]:
        rows, samples = self.rows[i], self.samples
        w = None if samples.host_w is None else samples.host_w[rows]
        y = samples.host_y[rows]
        weight = self.totals[i]
        result = {"loss": float(total / weight) if weight > 0.0 else 0.0}
        for name, metric in self.parameters.trainers[i].metrics.items():
            result[name] = metric.score(outputs[: len(rows)], y, w)
        return result
