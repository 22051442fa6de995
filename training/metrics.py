"""How good predictions are: numbers on the host, from predictions and targets.

A metric computes the weighted mean over the samples where it is a mean, and says
whether a higher number is better: early stopping and searches choose by that, and never
by its name.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpnet.common import check_whole, choose, nearest
from xpnet.common.arrays import NDArray
from xpnet.common.console import warn
from xpnet.training import scored
from xpnet.training.metric import (
    TAKES,
    Function,
    Metric,
    inner_function,
    labels_of,
    signature_of,
)
from xpnet.training.weights import scaled


class _BuiltIn(Metric):
    """One of the table."""

    def _guarded(self, *given: NDArray | None) -> Sequence[NDArray | None]:
        return given


class _OfClasses(_BuiltIn):
    """For predictions of a column a class."""

    def check(self, outputs: int, target: NDArray, weights: NDArray | None) -> None:
        """Raises ValueError for fewer columns than it needs."""
        if outputs < 2:
            raise ValueError(
                f"{self.name}: expected predictions of at least 2 classes, got one "
                "column; binary_accuracy is for one output of yes and no"
            )
        if isinstance(self.function, _TopK):
            self.function.check(outputs)


class _OfRows(_BuiltIn):
    """For predictions and targets of one shape."""

    def check(self, outputs: int, target: NDArray, weights: NDArray | None) -> None:
        """Raises ValueError for labels."""
        if target.ndim == 1:
            raise ValueError(
                f"{self.name}: expected targets of {outputs} columns, as the "
                "predictions, got labels; accuracy is for labels"
            )


class _OfVaryingRows(_OfRows):
    """Likewise, and the targets are to vary."""

    def check(self, outputs: int, target: NDArray, weights: NDArray | None) -> None:
        """Raises ValueError for labels; warns where several targets are all equal."""
        super().check(outputs, target, weights)
        if len(target) > 1 and not varies(target, weights):
            warn(
                f"{self.name}: the targets do not vary, so that it says nothing: it is "
                "1 where the predictions equal them, else 0",
                stacklevel=2,
            )


def _mean(values: NDArray, weights: NDArray | None) -> float:
    """NaN where no sample has a weight."""
    if weights is None:
        return float(np.average(values))
    if not weights.any():
        return float("nan")
    return float(np.average(values, weights=scaled(weights)))


def _accuracy(p: NDArray, target: NDArray, weights: NDArray | None = None) -> float:
    """Share of samples whose most probable class is the label."""
    return _mean(p.argmax(axis=1) == labels_of(target), weights)


def _binary_accuracy(
    p: NDArray, target: NDArray, weights: NDArray | None = None
) -> float:
    """Share of yes/no answers on the right side of one half."""
    return _mean(((p >= 0.5) == (target >= 0.5)).mean(axis=1), weights)


@dataclass(frozen=True)
class _TopK:
    k: int

    def check(self, classes: int) -> None:
        if self.k > classes:
            raise ValueError(
                f"top_k: expected k from 1 to {classes} classes, got {self.k}"
            )

    def __call__(
        self, p: NDArray, target: NDArray, weights: NDArray | None = None
    ) -> float:
        """Share of samples whose label is among the k most probable classes."""
        best = np.argpartition(p, -self.k, axis=1)[:, -self.k :]
        return _mean((best == labels_of(target)[:, None]).any(axis=1), weights)


def top_k(k: int) -> Metric:
    """Share of samples whose label is among the k most probable classes.

    Args:
        k: from 1 to the number of classes, which the call checks.

    Raises:
        ValueError: no whole number of at least 1.
    """
    return _OfClasses(_TopK(check_whole("top_k", "k", k, 1)), True, f"top_{k}")


def _mean_absolute_error(
    p: NDArray, target: NDArray, weights: NDArray | None = None
) -> float:
    """Mean of |p - y|, in units of y."""
    return _mean(np.abs(p - target).mean(axis=1), weights)


def _r2(p: NDArray, target: NDArray, weights: NDArray | None = None) -> float:
    """R² = 1 - Σ w (y - p)² / Σ w (y - ȳ)², averaged over the outputs.

    1 is perfect, 0 no better than the mean. It says nothing where y does not vary, and
    is what scikit-learn's r2_score gives there: 1 for a column that p equals, else 0,
    with a warning; NaN for a single sample.
    """
    if len(p) < 2 or (weights is not None and not weights.any()):
        return float("nan")
    w = np.ones(len(p)) if weights is None else scaled(weights).astype(np.float64)
    target = target.astype(np.float64)
    mean = np.average(target, axis=0, weights=w)
    rest = (w[:, None] * (target - p) ** 2).sum(axis=0)
    spread = (w[:, None] * (target - mean) ** 2).sum(axis=0)
    flat = np.where(rest == 0.0, 1.0, 0.0)
    # The mean of equal numbers may be rounded, and so differ from them.
    defined = _varying(target, weights) & (spread > 0.0)
    safe = np.where(defined, spread, 1.0)
    return float(np.where(defined, 1.0 - rest / safe, flat).mean())


def _varying(target: NDArray, weights: NDArray | None) -> NDArray:
    """Which columns have two values or more, among the samples with a weight."""
    seen = target if weights is None else target[weights > 0.0]
    return np.asarray((seen != seen[:1]).any(axis=0))


def varies(target: NDArray, weights: NDArray | None = None) -> bool:
    """Whether R² is defined: every column of `target` has two values or more."""
    return bool(_varying(target, weights).all())


accuracy = _OfClasses(_accuracy, True, "accuracy")
binary_accuracy = _OfRows(_binary_accuracy, True, "binary_accuracy")
mean_absolute_error = _OfRows(_mean_absolute_error, False, "mean_absolute_error")
r2 = _OfVaryingRows(_r2, True, "r2")

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "top_3": top_k(3),
    "top_5": top_k(5),
    "mean_absolute_error": mean_absolute_error,
    "r2": r2,
}
DEFAULTS: dict[str, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "binary": ("binary_accuracy",),
    "values": ("mean_absolute_error", "r2"),
}


def get_metrics(metrics: Any, targets: str) -> dict[str, Metric]:
    """Name -> metric, for names of the table, metrics and functions of your own.

    Args:
        metrics: a sequence of names, `Metric`s or functions; None for what fits the
            targets.
        targets: "classes", "binary" or "values" (see `Loss`).

    Raises:
        ValueError: a misspelt name, two of one name, a function whose y_pred may be
            labels or probabilities, or is of no use for these targets.
        TypeError: something else than names and functions.
    """
    chosen = DEFAULTS[targets] if metrics is None else metrics
    if isinstance(chosen, str) or callable(chosen):
        chosen = (chosen,)
    if not isinstance(chosen, list | tuple):
        raise TypeError(
            f"metrics: expected names or functions, got {chosen!r}; "
            f"{nearest('', METRICS)}"
        )
    named: dict[str, Metric] = {}
    for given in chosen:
        metric = given if isinstance(given, Metric) else _found(given)
        metric = _bound(metric, targets)
        if metric.name in named or metric.name == "loss":
            taken = "of the loss" if metric.name == "loss" else "of two metrics"
            raise ValueError(
                f"metrics: {metric.name!r} would be the name {taken}; give each a name "
                "of its own: xn.Metric(function, name='mine')"
            )
        named[metric.name] = metric
    return named


def _found(given: Any) -> Metric:
    """A row of the table, or a function of one's own as a metric."""
    return Metric(given) if callable(given) else choose(given, METRICS, "metric")


def _bound(metric: Metric, targets: str) -> Metric:
    """The metric for predictions of a loss with such targets."""
    if isinstance(metric, _BuiltIn):
        return metric
    takes, higher = metric.takes, metric.higher_is_better
    parameters = signature_of(metric.function)
    names = list(parameters.parameters) if parameters is not None else []
    if takes is None and names[:1] == ["y_true"]:
        takes, known = _as_scorer(metric.function)
        higher = known if higher is None else higher
        if targets == "values" and takes in ("labels", ""):
            takes = "values"
        if not takes:
            raise ValueError(
                f"metric {metric.name!r}: its function takes (y_true, {names[1]}); say "
                f"what {names[1]} is: xn.Metric({metric.name}, takes='labels') or "
                "takes='probabilities'"
            )
    if takes is not None and (TAKES[takes] == "values") != (targets == "values"):
        raise ValueError(
            f"metric {metric.name!r}: it takes {takes}, which the loss does not give; "
            f"takes={'values' if targets == 'values' else 'labels'!r} would fit"
        )
    return replace(metric, takes=takes, higher_is_better=higher, targets=targets)


def _as_scorer(function: Function) -> tuple[str, bool | None]:
    """What scikit-learn's table of scorers says of one of its functions.

    Returns:
        (takes, whether higher is better); ("", None) where it is not in the table.
    """
    module = sys.modules.get("sklearn.metrics")  # loaded, if the function is its own
    if module is None:
        return "", None
    function = inner_function(function)
    for scorer in map(module.get_scorer, module.get_scorer_names()):
        if getattr(scorer, "_score_func", None) is function:
            labels = scorer._response_method == "predict"
            return "labels" if labels else "probabilities", scorer._sign > 0
    return "", None


def check_metrics(
    metrics: Mapping[str, Metric],
    target: NDArray,
    outputs: int,
    weights: NDArray | None,
    trial: bool,
) -> None:
    """Before anything is trained: that each metric has a meaning for such data.

    Args:
        metrics: of a Trainer.
        target: labels (samples,) or rows (samples, n).
        outputs: columns of the predictions.
        weights: (samples,) or None.
        trial: call functions of one's own once, on all targets and on predictions that
            are nearly right.

    Raises:
        ValueError, TypeError: one that has none or fails, with its name.
    """
    for metric in metrics.values():
        metric.check(outputs, target, weights)
        if trial and not isinstance(metric, _BuiltIn):
            _try(metric, target, outputs, weights)


def _try(
    metric: Metric, target: NDArray, outputs: int, weights: NDArray | None
) -> None:
    p = _nearly_right(target, outputs, metric.targets)
    try:
        with np.errstate(all="ignore"):
            metric.score(p, target, weights)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"metric {metric.name!r}: it must give a number for predictions "
            f"{p.shape} and targets {target.shape}, and failed on a trial before "
            f"training: {type(error).__name__}: {error}"
        ) from error


def _nearly_right(target: NDArray, outputs: int, targets: str) -> NDArray:
    """Made-up predictions: of the right class, or with a small error."""
    if target.ndim == 1:
        p = np.full((len(target), outputs), 0.5 / outputs, np.float32)
        p[np.arange(len(target)), target] += 0.5
        return p
    if targets == "values":
        return target + 0.01 * (float(np.ptp(target)) or 1.0)
    return 0.5 * target + 0.5 / (outputs if targets == "classes" else 2)


def confusion_matrix(predicted: Any, labels: Any, classes: int) -> NDArray:
    """Counts (classes, classes): row = the label, column = what was predicted.

    Args:
        predicted, labels: whole numbers 0 .. classes - 1, (samples,) or (samples, 1).
        classes: how many.

    Raises:
        TypeError: numbers of another type.
        ValueError: other shapes, labels out of range, lengths that differ.
    """
    n = check_whole("confusion_matrix", "classes", classes, 1)
    columns = scored.labels(predicted, n, "predicted")
    rows = scored.labels(labels, n, "labels")
    scored.same_length(columns, rows, ("predicted", "labels"))
    return np.bincount(rows * n + columns, minlength=n * n).reshape(n, n)
