"""GridSearch: GridSearchCV whose networks are trained side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import get_routing_for_object

from xpnet.common.arrays import refuse_masked
from xpnet.estimators.base import MLP
from xpnet.estimators.prefit import PREFIT, PrefitCache


class FixedSplits:
    """A splitter with given folds.

    Args:
        cv: the splitter that drew them, whose metadata it requests.
        splits: the folds.
    """

    def __init__(self, cv: Any, splits: list[Any]) -> None:
        self.cv, self.splits = cv, splits

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Any]:
        """The folds."""
        del X, y, groups
        return iter(self.splits)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of folds."""
        del X, y, groups
        return len(self.splits)

    def get_metadata_routing(self) -> Any:
        """The metadata that `cv` requests."""
        return get_routing_for_object(self.cv)


class GridSearch(GridSearchCV):  # type: ignore[misc]
    """GridSearchCV that trains settings × folds in stacks of networks.

    All settings and folds of one architecture train as one `Stack` on shared data. Each
    network ends as it would alone, so `cv_results_`, `best_estimator_`, `best_params_`
    and `best_score_` are those of GridSearchCV over the same estimator, to rounding.
    `mean_fit_time` is the stack's time divided by its networks.

    Settings that change shapes (hidden_layer_sizes, activation, solver, batch_size,
    max_iter) need a stack for each value; rates, momenta, alpha, dropout rates, seeds,
    tol and early stopping share one. Other fits are trained one by one, with a warning
    that says why: L-BFGS, folds that lack a class, class_weight="balanced", estimators
    of other libraries.

    Args:
        estimator: an `MLPClassifier` or `MLPRegressor`.
        param_grid: {parameter: values}, or a list of such.
        cv: folds, a splitter, or (train, test) row numbers.
        scoring, refit, verbose, error_score, return_train_score: as for GridSearchCV.

    Attributes:
        stacked_: the number of fits in stacks.
        cv_results_, best_estimator_ and the others: as GridSearchCV's.

    Raises (in `fit`):
        ValueError, TypeError: misspelt parameters, folds that do not fit the data.
    """

    cv: Any

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        *,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=1,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def fit(self, X: Any, y: Any = None, **params: Any) -> "GridSearch":
        """Search, then refit the best setting on all samples.

        Args:
            X, y: as for the estimator.
            params: sample_weight for the fits, groups for the splitter, and what
                metadata routing, if enabled, passes to them.
        """
        for name, values in {"X": X, "y": y, **params}.items():
            refuse_masked(values, name)
        self._validate_params()
        self._get_scorers()  # raises for a misspelt one before any work
        X, y = indexable(X, y)
        cv, routed = self.cv, self._get_routed_params_for_fit(params)
        folds = check_cv(cv, y, classifier=is_classifier(self.estimator))
        splits = list(folds.split(X, y, **routed.splitter.split))
        given = dict(routed.estimator.fit)
        prefits = PrefitCache(X, y, given.pop("sample_weight", None))
        self._fill(prefits, splits, set(given))
        prefits.warn()
        token = PREFIT.set(prefits)
        try:
            self.cv = FixedSplits(cv, splits)  # not to shuffle again
            super().fit(X, y, **params)
        finally:
            self.cv = cv
            PREFIT.reset(token)
        self.stacked_ = sum(seconds > 0.0 for seconds in prefits.seconds)
        prefits.warn_of_unused()
        return self

    def _fill(self, prefits: PrefitCache, splits: list[Any], other: set[str]) -> None:
        estimator = self.estimator
        if not isinstance(estimator, MLP):
            prefits.reasons.append(
                f"expected an MLPClassifier or MLPRegressor of xpnet, got a "
                f"{type(estimator).__name__}"
            )
        elif other:
            prefits.reasons.append(f"fit is given {', '.join(sorted(other))}")
        else:
            settings = [
                clone(estimator).set_params(**clone(row, safe=False))
                for row in ParameterGrid(self.param_grid)
            ]
            prefits.fit_many(settings, [train for train, _ in splits])

    def _format_results(
        self, settings: Any, n_splits: int, out: Any, *more: Any, **options: Any
    ) -> Any:
        """The table, with the time of the stacks in it."""
        prefits = PREFIT.get()
        if prefits is not None and len(prefits.seconds) == len(out):
            for row, seconds in zip(out, prefits.seconds, strict=True):
                row["fit_time"] += seconds
        return super()._format_results(settings, n_splits, out, *more, **options)
