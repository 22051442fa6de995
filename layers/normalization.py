"""Layers that bring activations to mean 0 and variance 1."""

from collections.abc import Callable

import numpy as np

from xpnet.backend import Array, Shape
from xpnet.common import check_number, explains_arguments
from xpnet.layers.layer import Layer
from xpnet.trace import batch_mean, batch_sum, feature_mean


class _Normalization(Layer):
    """a = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps), μ and σ² along one axis."""

    mean: Callable[[Array], Array]  # along that axis, which stays as 1
    x_hat: Array
    gain: Array
    shift: Array
    dgain: Array
    dshift: Array

    def __init__(self, eps: float):
        kind = type(self).__name__
        self.eps = check_number(kind, eps, "eps > 0", lambda e: e > 0.0)

    def build(self, shape: Shape) -> Shape:
        """Declare γ = `gain` and β = `shift`, (1, n)."""
        if len(shape) != 1:
            raise ValueError(
                f"{type(self).__name__}: expected samples of one axis (features), got "
                f"{shape}; put Flatten() in front"
            )
        self.declare("gain", (1, shape[0]), "ones")
        self.declare("shift", (1, shape[0]), "zeros")
        return shape

    def normalize(self, x: Array) -> tuple[Array, Array, Array]:
        """(x̂, μ, σ²) along the axis."""
        mean = self.mean(x)
        centered = x - mean
        variance = self.mean(centered * centered)
        self.scale = 1.0 / np.sqrt(variance + self.eps)
        return centered * self.scale, mean, variance

    def backward(self, grad: Array) -> Array:
        """(g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps) with g = γ ⊙ grad."""
        x_hat = self.x_hat
        self.dgain[...] = batch_sum(grad * x_hat)
        self.dshift[...] = batch_sum(grad)
        g = grad * self.gain
        mean, slope = self.mean(g), self.mean(g * x_hat)
        return (g - mean - x_hat * slope) * self.scale


@explains_arguments
class BatchNorm(_Normalization):
    """a = γ (x - μ) / √(σ² + eps) + β, with μ, σ² of each feature over the batch.

    At inference μ and σ² are running averages, r ← (1 - momentum) r + momentum · new,
    the variance taken without bias (n / (n - 1)). PyTorch's convention; Keras writes
    1 - momentum for momentum and keeps the biased variance. The step's own σ² is the
    biased one, in both. Ioffe and Szegedy (2015), arXiv:1502.03167.

    Shapes: (..., batch, n) in and out; a training batch needs 2 samples.

    Raises:
        ValueError: momentum outside (0, 1], eps not above 0, samples of several axes.
    """

    mean = staticmethod(batch_mean)
    min_batch = 2
    running_mean: Array
    running_variance: Array

    def __init__(self, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__(eps)
        self.momentum = check_number(
            "BatchNorm",
            momentum,
            "0 < momentum <= 1",
            lambda m: 0.0 < m <= 1.0,
        )

    def build(self, shape: Shape) -> Shape:
        """Declare γ, β and the running mean and variance, (1, n)."""
        super().build(shape)
        self.declare_state("running_mean", (1, shape[0]), "zeros")
        self.declare_state("running_variance", (1, shape[0]), "ones")
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        """γ x̂ + β; while training this moves the running statistics."""
        if not training:
            scale = self.gain / np.sqrt(self.running_variance + self.eps)
            return (x - self.running_mean) * scale + self.shift
        self.x_hat, mean, variance = self.normalize(x)
        n, m = x.shape[-2], self.momentum
        unbiased = variance * (n / max(n - 1, 1))
        self.running_mean[...] = (1.0 - m) * self.running_mean + m * mean
        self.running_variance[...] = (1.0 - m) * self.running_variance + m * unbiased
        return self.gain * self.x_hat + self.shift


@explains_arguments
class LayerNorm(_Normalization):
    """a = γ (x - μ) / √(σ² + eps) + β, with μ, σ² of each sample over its features.

    The same at training and inference. Ba, Kiros, Hinton (2016), arXiv:1607.06450.
    Shapes: (..., batch, n) in and out.

    Raises:
        ValueError: eps not above 0, samples of several axes.
    """

    mean = staticmethod(feature_mean)

    def __init__(self, eps: float = 1e-5):
        super().__init__(eps)

    def forward(self, x: Array, training: bool) -> Array:
        """γ x̂ + β."""
        self.x_hat, _, _ = self.normalize(x)
        return self.gain * self.x_hat + self.shift
