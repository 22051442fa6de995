"""Wrong gradients, planted: each is a mistake that somebody has made."""

import numpy as np

import xpnet as xn
from tests.layers.examples import BATCH
from xpnet import Activation, ActivationFunction, Dense
from xpnet.layers import ACTIVATIONS
from xpnet.trace import batch_mean


class ScaledW(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = self.dW * 1.001
        return below


class ScaledBelow(Dense):
    def backward(self, grad):
        return super().backward(grad) * 1.001


class TransposedW(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = grad.swapaxes(-1, -2) @ self.x
        return below


class UntransposedBelow(Dense):
    def backward(self, grad):
        super().backward(grad)
        return grad @ self.W


class WrongSign(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.db[...] = -grad.sum(axis=-2, keepdims=True)
        return below


class AllButOneSample(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        x = self.x[..., 1:, :]
        self.dW[...] = x.swapaxes(-1, -2) @ grad[..., 1:, :]
        return below


class NoBiasGradient(Dense):
    def backward(self, grad):
        self.dW[...] = self.x.swapaxes(-1, -2) @ grad
        return grad @ self.W.swapaxes(-1, -2)


class MeanOverBatch(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.db[...] = grad.mean(axis=-2, keepdims=True)
        return below


class ScalarPenalty(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = self.dW + 0.01 * (self.W * self.W).sum()
        return below


class StaleX(Dense):
    """Multiplies δ by the x that the last step has seen."""

    def build(self, shape):
        self.declare_state("last", (BATCH, shape[0]), "zeros")
        return super().build(shape)

    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = self.last.swapaxes(-1, -2) @ grad
        self.last[...] = self.x
        return below


class OutputForInput(Dense):
    def backward(self, grad):
        below = super().backward(grad)
        self.dW[...] = self.f.a.swapaxes(-1, -2) @ grad
        return below


class BatchNormWithoutMean(xn.BatchNorm):
    def backward(self, delta):
        super().backward(delta)
        g = delta * self.gain
        slope = (g * self.x_hat).mean(axis=-2, keepdims=True)
        return (g - self.x_hat * slope) * self.scale


class BatchNormWithoutVariance(xn.BatchNorm):
    def backward(self, delta):
        super().backward(delta)
        g = delta * self.gain
        return (g - g.mean(axis=-2, keepdims=True)) * self.scale


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


class WrongSlope(Activation):
    """The function of the table's row with another derivative."""

    def __init__(self, activation):
        super().__init__(activation)
        function = ACTIVATIONS[activation].function
        self.row = ActivationFunction(function, self.slope)


class SlopeOfZ(WrongSlope):
    def slope(self, z, a):
        return z * (1.0 - z)


class DiagonalOnly(WrongSlope):
    def slope(self, z, a):
        return a * (1.0 - a)


class NoSlopeLeft(WrongSlope):
    def slope(self, z, a):
        return np.maximum(np.sign(z), 0.0)


# The wrong middle layer, and the right one that it stands for.
MISTAKES = {
    "W times 1.001": (ScaledW, Dense, 4),
    "delta times 1.001": (ScaledBelow, Dense, 4),
    "W transposed": (TransposedW, Dense, 4),
    "delta by W, not its transpose": (UntransposedBelow, Dense, 4),
    "the sign of the bias gradient": (WrongSign, Dense, 4),
    "all but one sample": (AllButOneSample, Dense, 4),
    "no bias gradient": (NoBiasGradient, Dense, 4),
    "a mean over the batch for its sum": (MeanOverBatch, Dense, 4),
    "a penalty that is one number": (ScalarPenalty, Dense, 4),
    "the x of the last step": (StaleX, Dense, 4),
    "the output for the input": (OutputForInput, Dense, 4),
    "the mean's term of BatchNorm": (BatchNormWithoutMean, xn.BatchNorm, 0.1),
    "the variance's term of BatchNorm": (BatchNormWithoutVariance, xn.BatchNorm, 0.1),
    "LayerNorm along the batch": (LayerNormAlongTheBatch, xn.LayerNorm, 1e-5),
    "Dropout without its scale": (UnscaledDropout, xn.Dropout, 0.3),
    "sigmoid's slope in z for a": (SlopeOfZ, Activation, "sigmoid"),
    "softmax's diagonal alone": (DiagonalOnly, Activation, "softmax"),
    "no slope left of 0": (NoSlopeLeft, Activation, "leaky_relu"),
}
# The wrong loss, and the right one.
WRONG_LOSSES = {
    "no 1/n": (NoOneOverN(), xn.MeanSquaredError()),
    "smoothing forgotten": (UnsmoothedGradient(), xn.SoftmaxCrossEntropy(0.1)),
}
