"""Dense: every output sees every input."""

from xpnet.backend import Array, Formula, Shape, batch_sum, check_whole
from xpnet.layers.activations import Activation, ActivationFunction
from xpnet.layers.initializers import Initializer
from xpnet.layers.layer import Layer


class Dense(Layer):
    """a = f(z), z = x W + b.

        δ      = f'(z) ⊙ grad          of shape (..., batch, n_out)
        ∂J/∂W  = xᵀ δ                  (..., n_in, n_out)
        ∂J/∂b  = Σ_batch δ             (..., 1, n_out)
        grad of the layer below = δ Wᵀ  (..., batch, n_in)

    Args:
        units: n_out, the number of outputs.
        activation: see `Activation`; None leaves z as it is.
        bias: whether to add b.
        initializer: how W starts (see `INITIALIZERS`); by default what fits the
            activation: He in front of rectifiers, Glorot elsewhere. b starts at 0.

    Raises:
        ValueError: units below 1, samples of more than one axis, a misspelt name.

    W is (n_in, n_out), as in Keras; PyTorch's Linear keeps (n_out, n_in).
    Rumelhart, Hinton, Williams, Nature 323 (1986).
    """

    W: Array
    b: Array
    dW: Array  # noqa: N815
    db: Array

    def __init__(
        self,
        units: int,
        activation: "str | Formula | ActivationFunction | None" = None,
        bias: bool = True,
        initializer: str | Initializer | None = None,
    ):
        self.units = check_whole("Dense", "units", units, 1)
        self.activation, self.bias = activation, bool(bias)
        self.initializer = initializer
        self.f = Activation(activation)

    def build(self, shape: Shape) -> Shape:
        """Declare W (n_in, n_out) and b (1, n_out)."""
        if len(shape) != 1:
            raise ValueError(
                f"Dense: expected samples of one axis (features), got {shape}; "
                "put Flatten() in front"
            )
        start = self.initializer or self.f.row.initializer
        self.declare("W", (shape[0], self.units), start, penalized=True)
        if self.bias:
            self.declare("b", (1, self.units), "zeros")
        return (self.units,)

    def forward(self, x: Array, training: bool) -> Array:
        """f(x W + b)."""
        self.x = x
        z = x @ self.W
        if self.bias:
            z = z + self.b
        return self.f.forward(z, training)

    def backward(self, grad: Array) -> Array:
        """δ = f'(z) ⊙ grad; returns δ Wᵀ."""
        delta = self.f.backward(grad)
        self.dW[...] = self.x.swapaxes(-1, -2) @ delta
        if self.bias:
            self.db[...] = batch_sum(delta)
        return delta @ self.W.swapaxes(-1, -2)
