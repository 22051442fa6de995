"""Prefits: the fits of a grid search, trained in stacks before the search runs."""

import time
import zlib
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from xpnet.common.arrays import NDArray
from xpnet.common.console import warn
from xpnet.estimators.data import Data, Estimator, FitPlan
from xpnet.estimators.settings import is_newton
from xpnet.stack import Stack
from xpnet.stack.compatibility import stack_key
from xpnet.training.callbacks import Callback
from xpnet.training.trainer import Trainer


class PerNetworkCallbacks(Callback):
    """Calls for each network of a stack the callbacks of that network.

    Args:
        own: {id of a trainer: its callbacks}.
    """

    def __init__(self, own: dict[int, list[Callback]]) -> None:
        self.own = own

    def __deepcopy__(self, memo: Any) -> "PerNetworkCallbacks":
        return self  # a stack copies its callbacks; these are separate already

    def patient_for(self, trainer: Trainer) -> float:
        """The least of its callbacks' bounds."""
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
class Prefit:
    """One fit of a stack.

    Attributes:
        estimator: with the settings and an initialised network.
        plan: of its training.
        rows, held: row numbers to train and to score on, in the whole data.
        fingerprint: of the settings and the data, see `fingerprint`.
        error: of a training that diverged.
        seconds: the stack's time divided by its networks.
    """

    estimator: Estimator
    plan: FitPlan
    rows: NDArray
    held: NDArray | None
    fingerprint: Hashable
    error: ArithmeticError | None = None
    seconds: float = 0.0

    @property
    def kind(self) -> Hashable:
        """Equal for fits that one stack can train."""
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


class PrefitCache:
    """Trained estimators, which a `fit` with the same settings and data takes over.

    Args:
        X, y, weights: the whole data of a search.

    Attributes:
        reasons: why fits could not be stacked.
        seconds: of each `fit` in turn: its part of a stack's time; 0 if not stacked.
    """

    def __init__(self, X: Any, y: Any, weights: Any) -> None:
        self.X, self.y, self.weights = X, y, weights
        self.reasons: list[str] = []
        self.seconds: list[float] = []
        self._fits: dict[Hashable, Prefit] = {}

    def fit_many(
        self, estimators: Sequence[Estimator], splits: Sequence[NDArray]
    ) -> None:
        """Train each estimator on the rows of each split, as far as stacks can."""
        groups: dict[Hashable, list[Prefit]] = {}
        for estimator in estimators:
            for rows in splits:
                fit = self._planned(clone(estimator), np.asarray(rows))
                if fit is not None:
                    groups.setdefault(fit.kind, []).append(fit)
        for fits in groups.values():
            self._fit_group(fits)

    def _data(self, estimator: Estimator, rows: NDArray | None) -> Data:
        parts = [self.X, self.y, self.weights]
        if rows is not None:
            parts = [None if p is None else _safe_indexing(p, rows) for p in parts]
        X, y, w = parts
        return estimator._data(X, y, w)

    def _planned(self, estimator: Estimator, rows: NDArray) -> Prefit | None:
        """A fit, ready for a stack; None if it cannot be stacked."""
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
            return None  # the search itself meets and reports it
        mark = fingerprint(estimator, data)
        if plan.held is None:
            return Prefit(estimator, plan, rows, None, mark)  # one array per fold
        train, held = rows[plan.train.rows], rows[plan.held.rows]
        return Prefit(estimator, plan, train, held, mark)

    def _fit_group(self, fits: list[Prefit]) -> None:
        """Train fits of one kind in one stack."""
        model = clone(fits[0].estimator)
        try:
            whole = self._data(model, None)
        except Exception as error:
            self.reasons.append(f"not all samples fit: {error}")
            return
        outputs = model._task()[1]
        parts = [fit for fit in fits if _is_part(fit, whole, outputs)]
        if len(parts) < len(fits):
            self.reasons.append(
                "a training part has other classes or class weights than the whole"
            )
        if len(parts) < 2:  # a stack of one is no faster
            return
        try:
            self._train(parts, whole)
        except Exception as error:  # the search's own fit meets it again
            self.reasons.append(f"a stack failed: {error}")

    def _train(self, fits: list[Prefit], whole: Data) -> None:
        """Train one stack and store its fits."""
        first = fits[0]
        trainers = [fit.estimator._network.trainer for fit in fits]
        stack, began = Stack(trainers), time.perf_counter()
        own = {id(t): f.plan.callbacks for t, f in zip(trainers, fits, strict=True)}
        held = [fit.held for fit in fits]
        stack.fit(
            whole.x,
            whole.y,
            first.plan.epochs,
            max(fit.plan.batch_size for fit in fits),
            rows=[fit.rows for fit in fits],
            validation_rows=None if first.held is None else held,
            callbacks=[PerNetworkCallbacks(own)],
            sample_weight=whole.w,
            shuffle=bool(first.estimator.shuffle),
            verbose=False,
        )
        seconds = (time.perf_counter() - began) / len(fits)
        for i, fit in enumerate(fits):
            fit.error, fit.seconds = stack.errors.get(i), seconds
            self._fits[fit.fingerprint] = fit

    def take_prefit(self, estimator: Estimator, data: Data) -> bool:
        """Give `estimator` the result of its prefit; False if there is none.

        Raises:
            ArithmeticError: that training diverged.
        """
        fit = self._fits.pop(fingerprint(estimator, data), None)
        self.seconds.append(0.0 if fit is None else fit.seconds)
        if fit is None:
            return False
        if fit.error is not None:
            estimator._diverged(fit.plan, fit.error)
        fit.estimator._conclude(fit.plan)
        settings = estimator.get_params(deep=False)
        found = {k: v for k, v in vars(fit.estimator).items() if k not in settings}
        estimator.__dict__.update(found)
        return True

    def warn(self) -> None:
        """Warn of fits that are trained one by one."""
        if self.reasons:
            warn(
                "GridSearch: not every fit can be stacked, the others are trained "
                f"one by one: {'; '.join(dict.fromkeys(self.reasons))}",
                stacklevel=3,
            )

    def warn_of_unused(self) -> None:
        """Warn of prefits that the search did not take."""
        if self._fits:
            warn(
                f"GridSearch: {len(self._fits)} networks were trained in stacks and "
                "not used, since the search asked for other parameters or samples; "
                "GridSearchCV would be faster here",
                stacklevel=3,
            )


PREFIT: ContextVar[PrefitCache | None] = ContextVar("PREFIT", default=None)


def fingerprint(estimator: Estimator, data: Data) -> Hashable:
    """Identifies a training: the settings and a checksum of the data."""
    arrays = [data.x, data.y] + ([] if data.w is None else [data.w])
    sums = [zlib.crc32(np.ascontiguousarray(a).data) for a in arrays]
    return (repr(estimator.get_params()), data.x.shape, *sums)


def _reason(estimator: Estimator) -> str:
    """Why this training cannot be part of a stack; "" if it can."""
    if is_newton(estimator.solver):
        return f"solver={estimator.solver!r} takes all samples at once"
    if estimator.callbacks not in ((), []):
        return "callbacks may have a state that networks would share"
    if isinstance(estimator.random_state, np.random.RandomState):
        return "random_state must be a whole number"
    return ""


def _is_part(fit: Prefit, whole: Data, outputs: int) -> bool:
    """Whether the fit has the classes and weights of its rows of the whole data."""
    part, rows = fit.plan.train, fit.rows
    if (part.w is None) != (whole.w is None) or part.x.dtype != whole.x.dtype:
        return False
    if fit.estimator._network.trainer.model.n_outputs != outputs:
        return False
    weighted: Any = None if whole.w is None else whole.w[rows]
    return part.w is None or np.array_equal(part.w, weighted)
