"""Predictions, loss and metrics over a data set, batch by batch."""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_whole
from xpnet.common.arrays import NDArray
from xpnet.execution.batch import BatchSpec
from xpnet.execution.evaluation import EvaluationBlocks, Stage
from xpnet.execution.step import EvaluationStep
from xpnet.training.data import Rows, Samples
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
    with backend.active(), state.model.access.reading, state.in_turn:
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


class Evaluation:
    """What k >= 1 networks give for samples of their own, part by part.

    Args:
        state: of one of them.
        samples: that they share.
        networks: how many.
        width: samples of each, at most.
        size: of each at a time.

    Attributes:
        outputs: link(z), (k, width, n).
        losses: Σ w l of each part, (parts, k).
    """

    def __init__(
        self,
        state: TrainingState,
        samples: Samples,
        networks: int,
        width: int,
        size: int,
    ) -> None:
        self.samples, self.backend = samples, state.backend
        self.width, self.size = width, size
        shape = (networks, width, state.model.n_outputs)
        self.outputs = np.empty(shape, state.dtype)
        self.losses = np.empty((ceil(width / size), networks), state.dtype)
        self._blocks: EvaluationBlocks | None = None

    def stages(self, step: Callable[[int], EvaluationStep]) -> list[Stage]:
        """The equal parts, and the short one that may be over.

        Args:
            step: gives the step of all networks for so many samples each.
        """
        full, rest = divmod(self.width, self.size)
        parts = ((self.size, 0, full), (rest, full * self.size, 1))
        return [
            Stage(step(size), start, count)
            for size, start, count in parts
            if size and count
        ]

    def in_c(
        self,
        stages: list[Stage],
        sources: Sequence[Array],
        rows: Array,
        w: Array | None = None,
        held: int = 0,
    ) -> EvaluationBlocks | None:
        """The evaluation in C; None where it goes call by call.

        Args:
            stages: of this evaluation.
            sources, rows, w, held: see `EvaluationBlocks`.
        """
        if not self.backend.is_host:
            return None
        if self._blocks is None or not self._blocks.fits(stages):
            kept = (self.outputs, self.losses, held)
            self._blocks = EvaluationBlocks(stages, sources, rows, w, *kept)
        return self._blocks if self._blocks.possible else None

    def call(
        self, stages: list[Stage], fetch: Callable[[EvaluationStep, slice], None]
    ) -> None:
        """Evaluate call by call.

        Args:
            stages: of this evaluation.
            fetch: copies the samples of a part into the batch of a step.
        """
        number, to_numpy = 0, self.backend.to_numpy
        for stage in stages:
            step, size = stage.step, stage.step.batch.samples
            for start in range(stage.start, stage.start + stage.count * size, size):
                part = slice(start, start + size)
                fetch(step, part)
                step.run()
                self.outputs[:, part] = to_numpy(step.output)
                self.losses[number] = to_numpy(step.total).reshape(-1)
                number += 1

    def scores(
        self,
        i: int,
        metrics: dict[str, Metric],
        weight: float,
        rows: Rows | None = None,
    ) -> dict[str, float]:
        """{"loss": Σ w l / Σ w, metric: value...} of network i.

        Args:
            i: which.
            metrics: by name.
            weight: Σ w.
            rows: its samples; None for all.
        """
        y, w = self.samples.host_y, self.samples.host_w
        if rows is not None:
            y, w = y[rows], None if w is None else w[rows]
        total = np.add.accumulate(self.losses[:, i], dtype=np.float64)[-1]
        result = {"loss": float(total / weight) if weight > 0.0 else 0.0}
        for name, metric in metrics.items():
            # A metric may keep what it is given.
            result[name] = metric.score(self.outputs[i, : len(y)].copy(), y, w)
        return result


class NetworkEvaluation(Evaluation):
    """The evaluation of one network, which borrows its steps for each run.

    From the second run on it is in C, where it can be: for one run alone that would
    take longer.
    """

    def __init__(self, state: TrainingState, samples: Samples, size: int) -> None:
        super().__init__(state, samples, 1, samples.count, size)
        self._state = state
        self._rows: Rows | None = None  # once it has run

    def run(self, metrics: dict[str, Metric]) -> dict[str, float]:
        """{"loss": Σ w l / Σ w, metric: value...}."""
        state, samples = self._state, self.samples
        borrowed = []
        with (
            np.errstate(all="ignore"),
            self.backend.active(),
            state.model.access.reading,
            state.in_turn,
        ):
            averaged = state.is_averaged

            def step(size: int) -> EvaluationStep:
                prediction = (samples.kind(size), True, averaged)
                found = state.take_evaluation(prediction)
                samples.gathering(found.batch)  # recorded with it
                borrowed.append((prediction, found))
                return found

            stages, blocks = self.stages(step), None
            if self._rows is not None:
                sources = [one for one, _ in samples.pairs(stages[0].step.batch)]
                blocks = self.in_c(stages, sources, self._rows)
            if blocks is not None:
                blocks.run([0], None, 1)
            else:
                self.call(stages, self._fetch)
            for one in borrowed:
                state.put_evaluation(*one)
        if self._rows is None:
            self._rows = np.arange(self.width)[None]
        return self.scores(0, metrics, samples.total)

    def _fetch(self, step: EvaluationStep, part: slice) -> None:
        rows = self.backend.asarray(np.arange(part.start, part.stop))
        self.samples.gather(rows, step.batch)


def evaluate(
    state: TrainingState, samples: Samples, metrics: dict[str, Metric], batch_size: int
) -> dict[str, float]:
    """{"loss": Σ w l / Σ w, metric: value...} over `samples`."""
    return NetworkEvaluation(state, samples, batch_size).run(metrics)
