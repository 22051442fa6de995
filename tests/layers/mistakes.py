"""Wrong gradients, planted: each is a mistake that somebody has made."""

import numpy as np

import xpnet as xn
from tests.layers.examples import BATCH
from xpnet import Activation, ActivationFunction, Dense
from xpnet.layers import ACTIVATIONS
from xpnet.trace import batch_mean


def after(kind, change):
    """`kind` whose gradients are changed: change(layer, grad, below) gives δ below."""

    class Wrong(kind):
        def backward(self, grad):
            return change(self, grad, super().backward(grad))

    return Wrong


def writing(gradient, change):
    """A Dense layer with gradient(layer) changed to what change(layer, grad) gives."""

    def changed(layer, grad, below):
        gradient(layer)[...] = change(layer, grad)
        return below

    return after(Dense, changed)


def weights(change):
    return writing(lambda layer: layer.dW, change)


def biases(change):
    return writing(lambda layer: layer.db, change)


def transposed(array):
    return array.swapaxes(-1, -2)


class NoBiasGradient(Dense):
    def backward(self, grad):
        self.dW[...] = transposed(self.x) @ grad
        return grad @ transposed(self.W)


class StaleX(Dense):
    """Multiplies δ by the x that the last step has seen."""

    def build(self, shape):
        self.declare_state("last", (BATCH, shape[0]), "zeros")
        return super().build(shape)

    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = transposed(self.last) @ grad
        self.last[...] = self.x
        return below


def without_mean(layer, delta, below):
    g = delta * layer.gain
    slope = (g * layer.x_hat).mean(axis=-2, keepdims=True)
    return (g - layer.x_hat * slope) * layer.scale


def without_variance(layer, delta, below):
    g = delta * layer.gain
    return (g - g.mean(axis=-2, keepdims=True)) * layer.scale


class LayerNormAlongTheBatch(xn.LayerNorm):
    def backward(self, delta):
        right, self.mean = self.mean, batch_mean
        below = super().backward(delta)
        self.mean = right
        return below


class UnscaledDropout(xn.Dropout):
    def backward(self, delta):
        return delta * (self.keep > 0.0).astype(delta.dtype)


class NoOneOverN(xn.MeanSquaredError):
    def gradient(self, z, t):
        return 2.0 * (z - t)


class UnsmoothedGradient(xn.SoftmaxCrossEntropy):
    def __init__(self):
        super().__init__(0.1)

    def gradient(self, z, t):
        return xn.SoftmaxCrossEntropy().gradient(z, t)


def sloping(slope):
    """An activation: the function of the table's row with another derivative."""

    def made(name):
        return Activation(ActivationFunction(ACTIVATIONS[name].function, slope))

    return made


# The wrong middle layer, and the right one that it stands for.
MISTAKES = {
    "W times 1.001": (weights(lambda f, grad: f.dW * 1.001), Dense, 4),
    "delta times 1.001": (after(Dense, lambda f, grad, low: low * 1.001), Dense, 4),
    "W transposed": (weights(lambda f, grad: transposed(grad) @ f.x), Dense, 4),
    "delta by W, not its transpose": (
        after(Dense, lambda f, grad, low: grad @ f.W), Dense, 4,
    ),
    "the sign of the bias gradient": (biases(lambda f, grad: -f.db), Dense, 4),
    "all but one sample": (
        weights(lambda f, grad: transposed(f.x[..., 1:, :]) @ grad[..., 1:, :]),
        Dense, 4,
    ),
    "no bias gradient": (NoBiasGradient, Dense, 4),
    "a mean over the batch for its sum": (
        biases(lambda f, grad: grad.mean(axis=-2, keepdims=True)), Dense, 4,
    ),
    "a penalty that is one number": (
        weights(lambda f, grad: f.dW + 0.01 * (f.W * f.W).sum()), Dense, 4,
    ),
    "the x of the last step": (StaleX, Dense, 4),
    "the output for the input": (
        weights(lambda f, grad: transposed(f.f.a) @ grad), Dense, 4,
    ),
    "the mean's term of BatchNorm": (
        after(xn.BatchNorm, without_mean), xn.BatchNorm, 0.1,
    ),
    "the variance's term of BatchNorm": (
        after(xn.BatchNorm, without_variance), xn.BatchNorm, 0.1,
    ),
    "LayerNorm along the batch": (LayerNormAlongTheBatch, xn.LayerNorm, 1e-5),
    "Dropout without its scale": (UnscaledDropout, xn.Dropout, 0.3),
    "sigmoid's slope in z for a": (
        sloping(lambda z, a: z * (1.0 - z)), Activation, "sigmoid",
    ),
    "softmax's diagonal alone": (
        sloping(lambda z, a: a * (1.0 - a)), Activation, "softmax",
    ),
    "no slope left of 0": (
        sloping(lambda z, a: np.maximum(np.sign(z), 0.0)), Activation, "leaky_relu",
    ),
}  # fmt: skip
# The wrong loss, and the right one.
WRONG_LOSSES = {
    "no 1/n": (NoOneOverN(), xn.MeanSquaredError()),
    "smoothing forgotten": (UnsmoothedGradient(), xn.SoftmaxCrossEntropy(0.1)),
}
