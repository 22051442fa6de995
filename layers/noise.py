"""Layers that disturb their input while training: Dropout and GaussianNoise."""

import math

from xpnet.backend import Array
from xpnet.common import check_number, explains_arguments
from xpnet.layers.layer import Layer


@explains_arguments
class Dropout(Layer):
    """a = x ⊙ m / (1 - rate) while training, with m = 0 with probability `rate`.

        ∂J/∂x = m / (1 - rate) ⊙ grad,  grad = ∂J/∂a

    At inference a = x: the division keeps the mean ("inverted" dropout). The mask of a
    step is a function of (seed, layer, step, position): the same on every device.
    Srivastava et al., JMLR 15 (2014). Shapes: (..., batch, *features) in and out.

    Raises:
        ValueError: rate outside [0, 1).
    """

    uses_noise = True

    def __init__(self, rate: float = 0.5):
        self.rate = check_number(
            "Dropout", rate, "0 <= rate < 1", lambda r: 0.0 <= r < 1.0
        )

    def forward(self, x: Array, training: bool) -> Array:
        """x ⊙ m / (1 - rate), or x at inference."""
        self.keep = None
        if not training or not self.rate:
            return x
        mask = self.noise.bits(x.shape) >= math.floor(self.rate * 2**32)
        self.keep = mask.astype(x.dtype) * (1.0 / (1.0 - self.rate))
        return x * self.keep

    def backward(self, grad: Array) -> Array:
        """m / (1 - rate) ⊙ grad."""
        return grad if self.keep is None else grad * self.keep


@explains_arguments
class GaussianNoise(Layer):
    """a = x + std ε with ε ~ N(0, 1) while training; a = x at inference. grad passes.

    Training with input noise is Tikhonov regularisation: Bishop, Neural Computation 7
    (1995). Shapes: (..., batch, *features) in and out; `std` in units of x.

    Raises:
        ValueError: std below 0.
    """

    uses_noise = True

    def __init__(self, std: float = 0.1):
        self.std = check_number("GaussianNoise", std, "std >= 0", lambda s: s >= 0.0)

    def forward(self, x: Array, training: bool) -> Array:
        """Give x + std ε, or x at inference."""
        if not training or not self.std:
            return x
        return x + self.std * self.noise.normal(x.shape, x.dtype)

    def backward(self, grad: Array) -> Array:
        """Return grad as it came."""
        return grad
