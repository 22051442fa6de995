"""Activations: each row of the table is a function and its derivative.

The derivative is written in z or, where that is cheaper, in the output a = f(z). A
function of your own needs no row: pass it as `activation`, and its derivative is
derived from its trace.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.common import choose, explains_arguments
from xpnet.layers.layer import Layer
from xpnet.trace import Formula, derivative, feature_sum

EXP_LIMIT = 88.0  # exp(88) is the last whole power that float32 holds


@dataclass(frozen=True)
class ActivationFunction:
    """a = f(z) and δ = f'(z) ⊙ grad, with grad = ∂J/∂a and δ = ∂J/∂z.

    Attributes:
        function: f, a formula over arrays of any shape.
        derivative: f'(z) from (z, a).
        initializer: the default for the weights in front of it.
        product: δ from (grad, z, a), for the rows whose f' is not elementwise.
    """

    function: Formula
    derivative: Callable[[Array, Array], Array]
    initializer: str = "glorot_uniform"
    product: Callable[[Array, Array, Array], Array] | None = None

    def delta(self, grad: Array, z: Array, a: Array) -> Array:
        """f'(z) ⊙ grad."""
        if self.product is not None:
            return self.product(grad, z, a)
        slope = self.derivative(z, a)
        return grad if isinstance(slope, float) and slope == 1.0 else slope * grad


def sigmoid(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ), without overflow; far left, where 1 counts no more, eᶻ."""
    far = z < -EXP_LIMIT
    e = np.exp(np.where(far, z, -z))
    return np.where(far, e, 1.0 / (1.0 + e))


def softplus(z: Array) -> Array:
    """ln(1 + eᶻ), without overflow."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def elu(z: Array) -> Array:
    """Give z for z > 0, else eᶻ - 1. Clevert et al. (2015), arXiv:1511.07289."""
    return np.maximum(z, 0.0) + np.expm1(np.minimum(z, 0.0))


def softmax(z: Array) -> Array:
    """eᶻʲ / Σₖ eᶻᵏ along the last axis, without overflow."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / feature_sum(e)


def _softmax_product(grad: Array, z: Array, a: Array) -> Array:
    """The Jacobian diag(a) - a aᵀ applied to grad."""
    return a * (grad - feature_sum(a * grad))


GELU_SCALE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


GELU_LIMIT = 20.0  # beyond it tanh is ±1, and z³ would overflow


def _gelu_bounded(z: Array) -> Array:
    return np.minimum(np.maximum(z, -GELU_LIMIT), GELU_LIMIT)


def _gelu_tanh(z: Array) -> Array:
    return np.tanh(GELU_SCALE * (z + GELU_CUBE * (z * z * z)))


def gelu(z: Array) -> Array:
    """z Φ(z) in the tanh form of Hendrycks and Gimpel (2016), arXiv:1606.08415.

    PyTorch's gelu(approximate="tanh"); its default uses erf and differs by < 5e-4.
    """
    return 0.5 * z * (1.0 + _gelu_tanh(_gelu_bounded(z)))


def _gelu_derivative(z: Array, a: Array) -> Array:
    z = _gelu_bounded(z)
    t = _gelu_tanh(z)
    inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * (z * z))
    return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * inner


def _silu_derivative(z: Array, a: Array) -> Array:
    s = sigmoid(z)
    return s + a * (1.0 - s)


Row = ActivationFunction
ACTIVATIONS: dict[str, ActivationFunction] = {
    "identity": Row(lambda z: z, lambda z, a: 1.0),
    "sigmoid": Row(sigmoid, lambda z, a: a * (1.0 - a)),
    "tanh": Row(lambda z: np.tanh(z), lambda z, a: 1.0 - a * a),
    "relu": Row(lambda z: np.maximum(z, 0.0), lambda z, a: a > 0.0, "he_normal"),
    "leaky_relu": Row(
        lambda z: np.maximum(z, 0.01 * z),
        lambda z, a: np.maximum(np.sign(z), 0.01),
        "he_normal",
    ),
    "elu": Row(elu, lambda z, a: np.minimum(a, 0.0) + 1.0, "he_normal"),
    "gelu": Row(gelu, _gelu_derivative, "he_normal"),
    "silu": Row(lambda z: z * sigmoid(z), _silu_derivative, "he_normal"),
    "softplus": Row(softplus, lambda z, a: -np.expm1(-a), "he_normal"),
    "softmax": Row(softmax, lambda z, a: a * (1.0 - a), product=_softmax_product),
}


def get_activation(activation: "str | Formula | ActivationFunction | None") -> Row:
    """The row of that name; a function f(z) becomes a row with its derived f'.

    Raises:
        ValueError: no such name.
        TypeError: neither a name nor a function.
    """
    if isinstance(activation, ActivationFunction):
        return activation
    if activation is None:
        return ACTIVATIONS["identity"]
    if callable(activation):
        slope = derivative(activation)
        return ActivationFunction(activation, lambda z, a: slope(z), "he_normal")
    return choose(activation, ACTIVATIONS, "activation")


@explains_arguments
class Activation(Layer):
    """a = f(z), δ = f'(z) ⊙ grad.

    Args:
        activation: a name of the table (identity, sigmoid, tanh, relu, leaky_relu with
            slope 0.01, elu, gelu, silu, softplus, softmax), a function f(z) over
            arrays, or an `ActivationFunction` with both f and f'.

    Shapes: (..., batch, *features) in and out.
    """

    def __init__(self, activation: "str | Formula | ActivationFunction | None"):
        self.activation = activation
        self.row = get_activation(activation)

    def __getstate__(self) -> dict[str, Any]:
        """Without the table's functions, which have no names that pickle could find."""
        state, passing = super().__getstate__(), ("row", "z", "a")
        return {name: v for name, v in state.items() if name not in passing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.row = get_activation(self.activation)

    def forward(self, z: Array, training: bool) -> Array:
        """a = f(z)."""
        self.z, self.a = z, self.row.function(z)
        if getattr(self.a, "shape", None) != z.shape:
            raise TypeError(
                f"activation {self.activation!r}: expected an array of the shape of z, "
                f"{z.shape}, got {self.a!r}"
            )
        return self.a

    def backward(self, grad: Array) -> Array:
        """δ = f'(z) ⊙ grad."""
        return self.row.delta(grad, self.z, self.a)
