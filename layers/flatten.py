"""Flatten: samples of several axes become rows of features."""

import math

from xpnet.backend import Array, Shape
from xpnet.layers.layer import Layer


class Flatten(Layer):
    """a = x as (..., batch, n) with n the product of the sample's axes; grad back.

    Shapes: (..., batch, *sample) in, (..., batch, n) out.
    """

    def build(self, shape: Shape) -> Shape:
        """One axis of features."""
        self.sample = shape
        return (math.prod(shape),)

    def forward(self, x: Array, training: bool) -> Array:
        """The same numbers, one row a sample."""
        lead = x.shape[: len(x.shape) - len(self.sample)]
        return x.reshape((*lead, math.prod(self.sample)))

    def backward(self, grad: Array) -> Array:
        """The same numbers in the shape of the input."""
        return grad.reshape((*grad.shape[:-1], *self.sample))
