"""The losses of scikit-learn's MLP: halves and sums where xpnet's own take means."""

import numpy as np

from xpnet.backend import Array
from xpnet.common import choose
from xpnet.layers import LOSSES, BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, get_loss
from xpnet.layers.activations import EXP_LIMIT
from xpnet.trace import feature_sum

TINY = 1e-30  # stands for 0 within a logarithm that is multiplied by 0


class HalfSquaredError(Loss):
    """l = ½ Σⱼ (zⱼ - tⱼ)²,  ∂l/∂z = z - t.

    scikit-learn's "squared_error": it descends this gradient, and reports the mean over
    the outputs instead of the sum.
    """

    def rows(self, z: Array, t: Array) -> Array:
        """½ Σⱼ (zⱼ - tⱼ)²."""
        error = z - t
        return 0.5 * feature_sum(error * error)

    def gradient(self, z: Array, t: Array) -> Array:
        """z - t."""
        return z - t


class HalfPoissonDeviance(Loss):
    """l = Σⱼ [tⱼ ln(tⱼ / pⱼ) - tⱼ + pⱼ],  p = eᶻ,  ∂l/∂z = p - t, for t ≥ 0.

    scikit-learn's "poisson". `predict` gives eᶻ; z above 88 counts as 88. McCullagh
    and Nelder, Generalized Linear Models (1989).
    """

    def rows(self, z: Array, t: Array) -> Array:
        """Σⱼ tⱼ (ln tⱼ - zⱼ) - tⱼ + eᶻʲ."""
        surplus = t * (np.log(np.maximum(t, TINY)) - z)
        return feature_sum(surplus - t + self.link(z))

    def gradient(self, z: Array, t: Array) -> Array:
        """eᶻ - t."""
        return self.link(z) - t

    def link(self, z: Array) -> Array:
        """eᶻ."""
        return np.exp(np.minimum(z, EXP_LIMIT))


class SummedBinaryCrossEntropy(BinaryCrossEntropy):
    """On logits: l = Σⱼ [ln(1 + eᶻ) - t z],  ∂l/∂z = σ(z) - t.

    scikit-learn's "log_loss" of yes/no outputs: the sum over the labels.
    """

    def rows(self, z: Array, t: Array) -> Array:
        """Σⱼ max(z, 0) - t z + ln(1 + e^-|z|)."""
        return super().rows(z, t) * float(z.shape[-1])

    def gradient(self, z: Array, t: Array) -> Array:
        """σ(z) - t."""
        return self.link(z) - t


REGRESSION: dict[str, type[Loss]] = {
    "squared_error": HalfSquaredError,
    "poisson": HalfPoissonDeviance,
    **{name: kind for name, kind in LOSSES.items() if kind.targets == "values"},
}


def regression_loss(loss: str | Loss) -> Loss:
    """The loss of a regressor; raises ValueError for one that classifies."""
    found = loss if isinstance(loss, Loss) else choose(loss, REGRESSION, "loss")()
    if found.targets != "values":
        raise ValueError(
            f"loss: expected one of numbers, got {found!r}; MLPClassifier takes it"
        )
    return found


def classification_loss(loss: str | Loss, kind: str) -> Loss:
    """The loss of a classifier.

    Args:
        loss: "log_loss", a name of xpnet's classifying losses, or a `Loss`.
        kind: of y: "binary", "multiclass" or "multilabel-indicator".

    Raises:
        ValueError: a loss of numbers, or one that does not fit y.
    """
    if isinstance(loss, str) and loss == "log_loss":
        several = kind == "multiclass"
        return SoftmaxCrossEntropy() if several else SummedBinaryCrossEntropy()
    names = {n: k for n, k in LOSSES.items() if k.targets != "values"}
    if isinstance(loss, str):
        choose(loss, {**names, "log_loss": SummedBinaryCrossEntropy}, "loss")
    found = get_loss(loss)
    if found.targets == "values":
        raise ValueError(
            f"loss: expected a cross-entropy, got {found!r}; MLPRegressor takes it"
        )
    unfit = "multiclass" if found.targets == "binary" else "multilabel-indicator"
    if kind == unfit:
        raise ValueError(
            f"loss: {found!r} does not fit a {kind} y; loss='log_loss' takes what fits"
        )
    return found
