"""Losses: one number a sample, and its derivative with respect to the output.

The objective is the weighted mean over the batch, J = Σᵢ wᵢ lᵢ / Σᵢ wᵢ (all wᵢ = 1
unless `sample_weight` or `class_weight` say otherwise). A loss gives lᵢ (`rows`) and
∂lᵢ/∂zᵢ (`gradient`); δ of the last layer is (wᵢ / Σ w) ∂lᵢ/∂zᵢ. Targets `t` have the
shape of z: labels arrive here one-hot.
"""

from typing import Any, Literal

import numpy as np

from xpnet.backend import Array
from xpnet.common import check_number, explains_arguments
from xpnet.layers.activations import sigmoid, softmax
from xpnet.trace import feature_mean, feature_sum

Targets = Literal["classes", "binary", "values"]


class Loss:
    """lᵢ and ∂lᵢ/∂zᵢ over z, t of shape (..., batch, n).

    Attributes:
        targets: what `y` holds: "classes" (labels 0..n-1, one-hot or shares of each
            class), "binary" (0 to 1 an output), or "values" (numbers).
        link: what turns z into a prediction, for `predict`.
    """

    targets: Targets = "values"

    def rows(self, z: Array, t: Array) -> Array:
        """lᵢ, of shape (..., batch, 1)."""
        raise NotImplementedError(f"{type(self).__name__}.rows")

    def gradient(self, z: Array, t: Array) -> Array:
        """∂lᵢ/∂zᵢ, of the shape of z."""
        raise NotImplementedError(f"{type(self).__name__}.gradient")

    def link(self, z: Array) -> Array:
        """The prediction for z: z itself, or probabilities for logits."""
        return z

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"


class MeanSquaredError(Loss):
    """l = (1/n) Σⱼ (zⱼ - tⱼ)²,  ∂l/∂z = (2/n) (z - t).

    No factor ½; PyTorch's and Keras' convention.
    """

    def rows(self, z: Array, t: Array) -> Array:
        """(1/n) Σⱼ (zⱼ - tⱼ)²."""
        error = z - t
        return feature_mean(error * error)

    def gradient(self, z: Array, t: Array) -> Array:
        """(2/n) (z - t)."""
        return (2.0 / z.shape[-1]) * (z - t)


class MeanAbsoluteError(Loss):
    """l = (1/n) Σⱼ |zⱼ - tⱼ|,  ∂l/∂z = (1/n) sign(z - t), 0 where they are equal."""

    def rows(self, z: Array, t: Array) -> Array:
        """(1/n) Σⱼ |zⱼ - tⱼ|."""
        return feature_mean(abs(z - t))

    def gradient(self, z: Array, t: Array) -> Array:
        """(1/n) sign(z - t)."""
        return np.sign(z - t) * (1.0 / z.shape[-1])


@explains_arguments
class Huber(Loss):
    """l = (1/n) Σⱼ h(eⱼ), e = z - t: h = e²/2 where |e| ≤ d, else d (|e| - d/2).

        ∂l/∂z = (1/n) min(max(e, -d), d)

    PyTorch's HuberLoss, Keras' Huber. Huber, Annals of Statistics 35 (1964).

    Args:
        delta: d, where the square becomes a straight line; in units of y.

    Raises:
        ValueError: delta not above 0.
    """

    def __init__(self, delta: float = 1.0):
        self.delta = check_number("Huber", delta, "delta > 0", lambda d: d > 0.0)

    def rows(self, z: Array, t: Array) -> Array:
        """(1/n) Σⱼ c (|e| - c/2) with c = min(|e|, d)."""
        size = abs(z - t)
        clipped = np.minimum(size, self.delta)
        return feature_mean(clipped * (size - 0.5 * clipped))

    def gradient(self, z: Array, t: Array) -> Array:
        """(1/n) min(max(z - t, -d), d)."""
        clipped = np.minimum(np.maximum(z - t, -self.delta), self.delta)
        return clipped * (1.0 / z.shape[-1])


class BinaryCrossEntropy(Loss):
    """On logits: l = (1/n) Σⱼ [ln(1 + eᶻ) - t z],  ∂l/∂z = (1/n) (σ(z) - t).

    Each output is a yes/no question of its own with t in [0, 1]. The logarithm is
    taken as max(z, 0) - t z + ln(1 + e^-|z|), finite for every z. PyTorch's
    BCEWithLogitsLoss. `predict` gives σ(z).
    """

    targets: Targets = "binary"

    def rows(self, z: Array, t: Array) -> Array:
        """(1/n) Σⱼ max(z, 0) - t z + ln(1 + e^-|z|)."""
        terms = np.maximum(z, 0.0) - z * t + np.log1p(np.exp(-abs(z)))
        return feature_mean(terms)

    def gradient(self, z: Array, t: Array) -> Array:
        """(1/n) (σ(z) - t)."""
        return (sigmoid(z) - t) * (1.0 / z.shape[-1])

    def link(self, z: Array) -> Array:
        """σ(z)."""
        return sigmoid(z)


@explains_arguments
class SoftmaxCrossEntropy(Loss):
    """On logits: l = ln Σₖ eᶻᵏ - Σⱼ tⱼ zⱼ,  ∂l/∂z = softmax(z) - t.

    `y` holds labels 0..n-1, one-hot rows or shares of each class that sum to 1. The
    largest logit is subtracted first, so that no exponential overflows. PyTorch's
    CrossEntropyLoss. `predict` gives softmax(z).

    Args:
        label_smoothing: s in [0, 1): t becomes (1 - s) t + s/n. Szegedy et al. (2015),
            arXiv:1512.00567.

    Raises:
        ValueError: label_smoothing outside [0, 1).
    """

    targets: Targets = "classes"

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = check_number(
            "SoftmaxCrossEntropy",
            label_smoothing,
            "0 <= label_smoothing < 1",
            lambda s: 0.0 <= s < 1.0,
        )

    def _smooth(self, t: Array) -> Array:
        s = self.label_smoothing
        return t * (1.0 - s) + s / t.shape[-1] if s else t

    def rows(self, z: Array, t: Array) -> Array:
        """ln Σₖ e^(zₖ - m) - Σⱼ tⱼ (zⱼ - m) with m = max z."""
        shifted = z - z.max(axis=-1, keepdims=True)
        log_sum = np.log(feature_sum(np.exp(shifted)))
        # Logits of opposite ends of the dtype are infinitely far apart, and 0 times
        # that would be NaN.
        shifted = np.maximum(shifted, -float(np.finfo(z.dtype).max))
        return log_sum - feature_sum(self._smooth(t) * shifted)

    def gradient(self, z: Array, t: Array) -> Array:
        """softmax(z) - t."""
        return softmax(z) - self._smooth(t)

    def link(self, z: Array) -> Array:
        """softmax(z)."""
        return softmax(z)
