"""Dense: every output sees every input."""

from xpnet.backend import Array, Shape
from xpnet.common import check_flag, check_number, check_whole, explains_arguments
from xpnet.layers.activations import Activation, ActivationFunction
from xpnet.layers.initializers import Initializer, get_initializer
from xpnet.layers.layer import Layer
from xpnet.trace import Formula, batch_sum, within


@explains_arguments
class Dense(Layer):
    """a = f(z), z = x W + b.

        δ      = f'(z) ⊙ grad          of shape (..., batch, n_out)
        ∂J/∂W  = xᵀ δ                  (..., n_in, n_out)
        ∂J/∂b  = Σ_batch δ             (..., 1, n_out)
        ∂J/∂x  = δ Wᵀ                  (..., batch, n_in)

    with grad = ∂J/∂a and δ = ∂J/∂z.

    Args:
        units: n_out, the number of outputs.
        activation: see `Activation`; None leaves z as it is.
        bias: whether to add b.
        initializer: how W starts (see `INITIALIZERS`); by default what fits the
            activation: He in front of rectifiers, Glorot elsewhere. b starts at 0.
        max_norm: c, the most that the incoming weights of a unit, a column of W, may
            have as their norm: after each update wⱼ ← wⱼ min(1, c / ‖wⱼ‖₂). b is free.
            Keras' `max_norm` with axis=0. Srivastava et al., JMLR 15 (2014), who take
            3 or 4 together with dropout; None leaves W free.

    Raises:
        ValueError: units below 1, max_norm not above 0, samples of more than one axis,
            a misspelt name.

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
        max_norm: float | None = None,
    ):
        self.units = check_whole("Dense", "units", units, 1)
        self.activation = activation
        self.bias = check_flag("Dense", "bias", bias)
        self.initializer = initializer
        if initializer is not None:
            get_initializer(initializer)  # a misspelt one is told here
        self.max_norm = max_norm
        if max_norm is not None:
            self.max_norm = check_number(
                "Dense", max_norm, "max_norm > 0 or None", lambda c: c > 0.0
            )
        self.f = Activation(activation)

    def build(self, shape: Shape) -> Shape:
        """Declare W (n_in, n_out) and b (1, n_out)."""
        if len(shape) != 1:
            raise ValueError(
                f"Dense: expected samples of one axis (features), got {shape}; "
                "put Flatten() in front"
            )
        start = self.initializer
        if start is None:
            start = self.f.row.initializer
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

    def constrain(self) -> None:
        """wⱼ ← wⱼ min(1, max_norm / ‖wⱼ‖₂), for each column wⱼ of W."""
        if self.max_norm is not None:
            self.W[...] = within(self.W, self.max_norm, _squares)


def _squares(w: Array) -> Array:
    """‖wⱼ‖² of each column of w (..., m, n): (..., 1, n)."""
    return batch_sum(w * w)
