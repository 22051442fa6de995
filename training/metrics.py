"""How good predictions are: numbers on the host, from predictions and targets.

Each metric is a function (prediction (samples, n), target, weights (samples,) or None)
-> float, the weighted mean over the samples where it is a mean. `target` holds labels
(samples,) or rows (samples, n).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.common import choose, nearest
from xpnet.training.weights import scaled

Values = np.ndarray[Any, Any]
Metric = Callable[[Values, Values, Values | None], float]


def _labels(target: Values) -> Values:
    """Labels from labels, or from one-hot rows and shares of classes."""
    return target if target.ndim == 1 else target.argmax(axis=-1)


def _mean(values: Values, weights: Values | None) -> float:
    w = None if weights is None else scaled(weights)
    return float(np.average(values, weights=w))


def accuracy(p: Values, target: Values, weights: Values | None = None) -> float:
    """Share of samples whose most probable class is the label."""
    return _mean(p.argmax(axis=1) == _labels(target), weights)


def binary_accuracy(p: Values, target: Values, weights: Values | None = None) -> float:
    """Share of yes/no answers on the right side of one half."""
    return _mean(((p >= 0.5) == (target >= 0.5)).mean(axis=1), weights)


def top_k(k: int) -> Metric:
    """Share of samples whose label is among the k most probable classes.

    Raises:
        ValueError: when called with fewer than k classes.
    """

    def metric(p: Values, target: Values, weights: Values | None = None) -> float:
        if not 1 <= k <= p.shape[1]:
            raise ValueError(
                f"top_k: expected k from 1 to {p.shape[1]} classes, got {k}"
            )
        best = np.argpartition(p, -k, axis=1)[:, -k:]
        return _mean((best == _labels(target)[:, None]).any(axis=1), weights)

    metric.__name__ = f"top_{k}"
    return metric


def mean_absolute_error(
    p: Values, target: Values, weights: Values | None = None
) -> float:
    """Mean of |p - y|, in units of y."""
    return _mean(np.abs(p - target).mean(axis=1), weights)


def r2(p: Values, target: Values, weights: Values | None = None) -> float:
    """R² = 1 - Σ w (y - p)² / Σ w (y - ȳ)², averaged over the outputs.

    1 is perfect, 0 no better than the mean. Where y does not vary: 1 if p equals it,
    else 0 (scikit-learn's r2_score).
    """
    w = np.ones(len(p)) if weights is None else scaled(weights).astype(np.float64)
    target = target.astype(np.float64)
    mean = np.average(target, axis=0, weights=w)
    rest = (w[:, None] * (target - p) ** 2).sum(axis=0)
    spread = (w[:, None] * (target - mean) ** 2).sum(axis=0)
    flat = np.where(rest == 0.0, 1.0, 0.0)
    safe = np.where(spread > 0.0, spread, 1.0)
    return float(np.where(spread > 0.0, 1.0 - rest / safe, flat).mean())


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
    """Name -> function, for names of the table and functions of your own.

    Args:
        metrics: a sequence of names or functions; None for what fits the targets.
        targets: "classes", "binary" or "values" (see `Loss`).
    """
    chosen = DEFAULTS[targets] if metrics is None else metrics
    if isinstance(chosen, str) or callable(chosen):
        chosen = (chosen,)
    if not isinstance(chosen, list | tuple):
        raise TypeError(
            f"metrics: expected names or functions, got {chosen!r}; "
            f"{nearest('', METRICS)}"
        )
    named = {}
    for metric in chosen:
        function = metric if callable(metric) else choose(metric, METRICS, "metric")
        name = getattr(function, "__name__", str(metric))
        named[metric if isinstance(metric, str) else name] = function
    return named


def confusion_matrix(predicted: Values, labels: Values, classes: int) -> Values:
    """Counts (classes, classes): row = the label, column = what was predicted."""
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)
