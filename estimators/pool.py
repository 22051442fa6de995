"""Fits of a grid search, trained in stacks before the search asks for them."""

import time
import zlib
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from xpnet.common.console import warn
from xpnet.estimators.recipe import is_newton
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training.callbacks import Callback
from xpnet.training.trainer import Trainer

if TYPE_CHECKING:
    from xpnet.estimators.base import MLP, Data, Plan

Values = np.ndarray[Any, Any]


class Each(Callback):
    """Hands every network of a stack to callbacks of its own.

    Args:
        own: {id of a trainer: its callbacks}.
    """

    def __init__(self, own: dict[int, list[Callback]]) -> None:
        self.own = own

    def __deepcopy__(self, memo: Any) -> "Each":
        return self  # a stack copies its callbacks; these are apart already

    def patient_for(self, trainer: Trainer) -> float:
        """As many epochs as all of them can wait."""
        return min(callback.patient_for(trainer) for callback in self.own[id(trainer)])

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""
        for callback in self.own[id(trainer)]:
            callback.on_fit_begin(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After each epoch."""
        for callback in self.own[id(trainer)]:
            callback.on_epoch_end(trainer, row)

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch."""
        for callback in reversed(self.own[id(trainer)]):
            callback.on_fit_end(trainer)


@dataclass(eq=False)
class Job:
    """One fit that a stack can do.

    Attributes:
        estimator: with the settings and a drawn network.
        plan: its training.
        rows, held: what it trains on and is scored on, as rows of the whole data.
        mark: what tells its data from others.
        error: what ended it, if it diverged.
        seconds: its share of its stack's time.
    """

    estimator: "MLP"
    plan: "Plan"
    rows: Values
    held: Values | None
    mark: Hashable
    error: ArithmeticError | None = None
    seconds: float = 0.0

    @property
    def kind(self) -> Hashable:
        """Equal for jobs that one stack can do."""
        plan, estimator = self.plan, self.estimator
        whole = plan.batch_size >= len(self.rows)
        return (
            stack_key(estimator._network.trainer),
            "all" if whole else plan.batch_size,
            plan.epochs,
            bool(estimator.shuffle),
            self.held is None,
            repr(estimator.get_params().get("class_weight")),
        )


class Pool:
    """Estimators that are trained already, for those who ask for the same training.

    Args:
        X, y, weights: the whole data of a search.

    Attributes:
        reasons: why fits could not be stacked.
        seconds: of each fit that asked, in turn: its share of a stack's time, or 0.
    """

    def __init__(self, X: Any, y: Any, weights: Any) -> None:
        self.X, self.y, self.weights = X, y, weights
        self.reasons: list[str] = []
        self.seconds: list[float] = []
        self._jobs: dict[Hashable, Job] = {}

    def train(self, estimators: Sequence["MLP"], splits: Sequence[Values]) -> None:
        """Train every estimator on the rows of every split, as far as stacks can."""
        groups: dict[Hashable, list[Job]] = {}
        for estimator in estimators:
            for rows in splits:
                job = self._job(clone(estimator), np.asarray(rows))
                if job is not None:
                    groups.setdefault(job.kind, []).append(job)
        for jobs in groups.values():
            self._together(jobs)

    def _data(self, estimator: "MLP", rows: Values | None) -> "Data":
        parts = [self.X, self.y, self.weights]
        if rows is not None:
            parts = [None if p is None else _safe_indexing(p, rows) for p in parts]
        X, y, w = parts
        return estimator._data(X, y, w, True, False)

    def _job(self, estimator: "MLP", rows: Values) -> Job | None:
        """What a stack needs to know of one fit; None where it cannot be stacked."""
        reason = _reason(estimator)
        if reason:
            self.reasons.append(reason)
            return None
        if rows.dtype.kind == "b":
            rows = np.flatnonzero(rows)
        try:
            data = self._data(estimator, rows)
            plan = estimator._prepare(data, None)
        except Exception:
            return None  # which the search itself meets again, and tells
        mark = mark_of(estimator, data)
        if plan.held is None:
            return Job(estimator, plan, rows, None, mark)  # one array for all of a fold
        train, held = rows[plan.train.rows], rows[plan.held.rows]
        return Job(estimator, plan, train, held, mark)

    def _together(self, jobs: list[Job]) -> None:
        """Train jobs of one kind side by side."""
        model = clone(jobs[0].estimator)
        try:
            whole = self._data(model, None)
        except Exception as error:
            self.reasons.append(f"not all samples fit: {error}")
            return
        outputs = model._task()[1]
        fit = [job for job in jobs if _is_part(job, whole, outputs)]
        if len(fit) < len(jobs):
            self.reasons.append(
                "a training part has other classes or class weights than the whole"
            )
        if len(fit) < 2:  # a stack of one would be no faster
            return
        try:
            self._train(fit, whole)
        except Exception as error:  # which the fit that it is of meets again
            self.reasons.append(f"a stack failed: {error}")

    def _train(self, fit: list[Job], whole: "Data") -> None:
        """One stack."""
        trainers = [job.estimator._network.trainer for job in fit]
        stack, began = Stack(trainers), time.perf_counter()
        own = {id(t): j.plan.callbacks for t, j in zip(trainers, fit, strict=True)}
        held = [job.held for job in fit]
        stack.fit(
            whole.x,
            whole.y,
            fit[0].plan.epochs,
            max(job.plan.batch_size for job in fit),
            rows=[job.rows for job in fit],
            validation_rows=None if held[0] is None else held,
            callbacks=[Each(own)],
            sample_weight=whole.w,
            shuffle=bool(fit[0].estimator.shuffle),
            verbose=False,
        )
        share = (time.perf_counter() - began) / len(fit)
        for i, job in enumerate(fit):
            job.error, job.seconds = stack.errors.get(i), share
            self._jobs[job.mark] = job

    def hands_over(self, estimator: "MLP", data: "Data") -> bool:
        """Make `estimator` what was trained so on these data; False if nothing was.

        Raises:
            ArithmeticError: that training diverged.
        """
        job = self._jobs.pop(mark_of(estimator, data), None)
        self.seconds.append(0.0 if job is None else job.seconds)
        if job is None:
            return False
        if job.error is not None:
            estimator._diverged(job.plan, job.error)
        job.estimator._conclude(job.plan)
        settings = estimator.get_params(deep=False)
        found = {k: v for k, v in vars(job.estimator).items() if k not in settings}
        estimator.__dict__.update(found)
        return True

    def warn(self) -> None:
        """Say what will be trained one by one."""
        if self.reasons:
            warn(
                "GridSearch: not everything can be stacked, and the rest is trained "
                f"one by one: {'; '.join(dict.fromkeys(self.reasons))}",
                stacklevel=3,
            )

    def warn_of_unused(self) -> None:
        """Say it where the search has asked for other trainings than these."""
        if self._jobs:
            warn(
                f"GridSearch: {len(self._jobs)} networks were trained in stacks and "
                "not used, for the search has asked for other parameters or samples; "
                "GridSearchCV would be faster here",
                stacklevel=3,
            )


POOL: ContextVar[Pool | None] = ContextVar("POOL", default=None)


def mark_of(estimator: "MLP", data: "Data") -> Hashable:
    """What tells a training from others: the settings, and a checksum of the data."""
    arrays = [data.x, data.y] + ([] if data.w is None else [data.w])
    sums = [zlib.crc32(np.ascontiguousarray(a).data) for a in arrays]
    return (repr(estimator.get_params()), data.x.shape, *sums)


def _reason(estimator: "MLP") -> str:
    """Why this training cannot be part of a stack; empty if it can."""
    if is_newton(estimator.solver):
        return f"solver={estimator.solver!r} takes all samples at once"
    if estimator.callbacks not in ((), []):
        return "callbacks are not told apart"
    if isinstance(estimator.random_state, np.random.RandomState):
        return "random_state must be a whole number"
    return ""


def _is_part(job: Job, whole: "Data", outputs: int) -> bool:
    """Whether the job's classes and weights are those of its rows of the whole."""
    part, rows = job.plan.train, job.rows
    if (part.w is None) != (whole.w is None) or part.x.dtype != whole.x.dtype:
        return False
    if job.estimator._network.trainer.model.n_outputs != outputs:
        return False
    weighted: Any = None if whole.w is None else whole.w[rows]
    return part.w is None or np.array_equal(part.w, weighted)
