"""Predictions, losses and metrics of all networks of a stack at once."""

from collections.abc import Sequence
from concurrent.futures import Executor
from math import ceil

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.compiler import primitives
from xpnet.execution.batch import BatchSpec
from xpnet.execution.evaluation import EvaluationBlocks, Stage
from xpnet.execution.step import EvaluationStep
from xpnet.stack.group import NetworkGroup
from xpnet.stack.kept import Kept
from xpnet.stack.parameters import StackedParameters
from xpnet.training.data import Gather, Rows, Samples
from xpnet.training.evaluate import Evaluation
from xpnet.training.trainer import Trainer


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
) -> list[NDArray]:
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


class StackEvaluation(Evaluation):
    """Scores of each network of a stack on samples of its own.

    Args:
        parameters: the networks.
        samples: what they share.
        rows: which samples each is scored on.
        batch_size: samples of each at a time.
        pool, threads: see `take_turns`.
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
        self.parameters, self.rows = parameters, rows
        self._pool, self._threads = pool, threads
        counts = np.array([len(own) for own in rows])
        width, first = int(counts.max()), parameters.trainers[0]
        # Alike, so that one program may do for all of them.
        size = ceil(width / ceil(width / batch_size))
        super().__init__(first, samples, len(rows), width, size)
        table, own = padded(rows, width), np.arange(width) < counts[:, None]
        w = own if samples.host_w is None else samples.host_w[table] * own
        self._weights = w.sum(axis=1, dtype=np.float64)
        self._weighted = samples.host_w is not None or not own.all()
        with self.backend.active():
            self._table = self.backend.asarray(table)
            self._w: Array = None
            if self._weighted:
                self._w = self.backend.asarray(w, first.dtype)
        self._gathers: dict[EvaluationStep, Gather] = {}

    def run(self, networks: Sequence[int] | None = None) -> list[dict[str, float]]:
        """[{"loss": Σ w l / Σ w, metric: value, ...}, ...], one a network.

        Args:
            networks: those that are scored, others have no scores; None for all.
        """
        networks = range(len(self.rows)) if networks is None else networks
        with (
            np.errstate(all="ignore"),
            self.backend.active(),
            self.parameters.averaged(),
        ):
            stages = self.stages(self._step)
            blocks = self._linked(stages)
            if blocks is not None:
                blocks.run(networks, self._pool, self._threads)
            else:
                self.call(stages, self._fetch)
        found: list[dict[str, float]] = [{} for _ in self.rows]
        for i in networks:
            metrics = self.parameters.trainers[i].metrics
            found[i] = self.scores(i, metrics, self._weights[i], self.rows[i])
        return found

    def _step(self, size: int) -> EvaluationStep:
        kind = self.samples.kind(size)
        kind = BatchSpec(kind.shape, kind.labels, self._weighted)
        models = self.parameters.slice(0, len(self.rows))
        return models.evaluation_step(kind, targets=True)

    def _linked(self, stages: list[Stage]) -> EvaluationBlocks | None:
        sources = (self.samples.x, self.samples.y)
        held = self.parameters.buffers.params[0].nbytes
        return self.in_c(stages, sources, self._table, self._w, held)

    def _fetch(self, step: EvaluationStep, part: slice) -> None:
        if step not in self._gathers:
            self._gathers[step] = Gather(self.samples, step.batch)
        self._gathers[step].run(self._table[:, part])
        if step.batch.w_rows is not None:
            step.batch.w_rows[...] = self._w[:, part]
