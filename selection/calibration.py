"""Calibration: is a network that predicts 90% right nine times in ten?"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common import check_number, check_whole, explains_arguments
from xpnet.common.arrays import NDArray
from xpnet.training import scored

TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy in bins of confidence.

    Attributes:
        edges: (bins + 1,) of the bins, from 0 to 1.
        confidence: (bins,) mean probability of the predicted class; NaN in empty bins.
        accuracy: (bins,) share of right predictions; NaN in empty bins.
        count: (bins,) samples.
    """

    edges: NDArray
    confidence: NDArray
    accuracy: NDArray
    count: NDArray

    @property
    def error(self) -> float:
        """Expected calibration error: Σ (countᵢ / n) |accuracyᵢ - confidenceᵢ|."""
        gap = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((gap * self.count).sum() / self.count.sum())

    @property
    def worst(self) -> float:
        """Maximum calibration error: the largest gap of a bin that is not empty."""
        return float(np.nanmax(np.abs(self.accuracy - self.confidence)))

    def plot(self, path: str | Path | None = None) -> Any:
        """The reliability diagram; saved to `path` if one is given."""
        from xpnet.selection.plots import plot_reliability

        arrays = self.edges, self.confidence, self.accuracy, self.count
        return plot_reliability(*arrays, self.error, path)


@explains_arguments
def reliability(p: Any, y: Any, bins: int = 15) -> Reliability:
    """Confidence against accuracy in `bins` equal steps of confidence.

    Args:
        p: probabilities (samples, classes); (samples,) or (samples, 1) of "yes".
        y: labels (samples,), whole numbers; 0 and 1 of any type for one column.
        bins: their number.

    Raises:
        ValueError: no probabilities, labels of another length or out of range.
        TypeError: text, or labels that are not whole numbers.

    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    bins = check_whole("", "bins", bins, 1)
    p, y = _checked(p, y)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A confidence on an edge belongs to the bin below it, as in the paper.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=v, minlength=bins) for v in (confidence, right)]
    with np.errstate(invalid="ignore"):
        means = [total / count for total in sums]
    return Reliability(edges, means[0], means[1], count)


@explains_arguments
def expected_calibration_error(p: Any, y: Any, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy, 0 for a calibrated network.

    Arguments and errors as for `reliability`. Naeini, Cooper, Hauskrecht (AAAI 2015).
    """
    return reliability(p, y, bins).error


@explains_arguments
@dataclass(frozen=True)
class Temperature:
    """Probabilities made less (T > 1) or more confident: softmax(z / T), z = ln p.

    The order of the classes, and so the accuracy, stays the same.
    Guo et al. (2017), as above.

    Attributes:
        value: T.

    Raises:
        ValueError: T not above 0.
    """

    value: float

    def __post_init__(self) -> None:
        check_number("Temperature", self.value, "value > 0", lambda t: t > 0.0)

    def __call__(self, p: Any) -> NDArray:
        """The probabilities p at this temperature, in the shape of p.

        Raises:
            ValueError, TypeError: no probabilities.
        """
        given = scored.probabilities(p)
        cooled = _tempered(np.log(np.maximum(_classes(given), TINY)), 1.0 / self.value)
        if np.ndim(p) == 1:
            return np.asarray(cooled[:, 1])
        return cooled[:, 1:] if given.shape[1] == 1 else cooled

    @classmethod
    def fit(cls, p: Any, y: Any) -> "Temperature":
        """The T with the smallest mean -ln p(label) on held-out samples.

        Fit it on samples that the network was not trained on, and measure its effect on
        others. -ln p is convex in 1/T, so bisection on its slope finds T.

        Args:
            p, y: as for `reliability`, which raises the same.
        """
        p, y = _checked(p, y)
        z = np.log(np.maximum(p, TINY))
        own = z[np.arange(len(y)), y]

        def slope(log_t: float) -> float:
            """d(mean -ln p)/d(1/T)."""
            q = _tempered(z, math.exp(-log_t))
            return float(((q * z).sum(axis=1) - own).mean())

        low, high = math.log(1e-2), math.log(1e2)
        for _ in range(60):
            middle = (low + high) / 2.0
            # T is too large if a larger 1/T would still lower the loss.
            low, high = (low, middle) if slope(middle) < 0.0 else (middle, high)
        return cls(math.exp((low + high) / 2.0))


def _tempered(z: NDArray, inverse: float) -> NDArray:
    shifted = inverse * (z - z.max(axis=1, keepdims=True))
    e = np.exp(shifted)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _classes(p: NDArray) -> NDArray:
    """(samples, classes) in float64; a single column of "yes" as two."""
    p = p.astype(np.float64, copy=False)
    return np.hstack([1.0 - p, p]) if p.shape[1] == 1 else p


def _checked(p: Any, y: Any) -> tuple[NDArray, NDArray]:
    """Probabilities (samples, classes), labels (samples,)."""
    p = scored.probabilities(p)
    if p.shape[1] == 1:
        labels = scored.answers(y, "y")
    else:
        labels = scored.labels(y, p.shape[1], "y")
    scored.same_length(p, labels, ("p", "y"))
    return _classes(p), labels
