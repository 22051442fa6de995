"""What a layer is: parameters, a forward equation, a backward equation."""

from dataclasses import dataclass
from typing import Any

from xpnet.backend import Array, Shape
from xpnet.common import check_flag, parameters
from xpnet.layers.initializers import Initializer, get_initializer
from xpnet.trace import Noise


@dataclass(frozen=True)
class Parameter:
    """A declared array of a layer.

    Attributes:
        name: attribute under which the layer finds it; its gradient is `d` + name.
        shape: without the leading axes of stacked networks.
        initializer: how it starts.
        penalized: whether weight penalties and weight decay apply.
        trained: False for running statistics, which no gradient moves.
    """

    name: str
    shape: Shape
    initializer: Initializer
    penalized: bool = False
    trained: bool = True


class Layer:
    """One layer of equations over arrays of shape (..., batch, *features).

    A subclass declares its parameters in `build`, computes a from x in `forward` and
    ∂J/∂x from `grad`, ∂J/∂a, in `backward`; there it also writes each parameter's
    gradient, summed over the batch: `self.dW[...] = ...`. It keeps what `backward`
    needs as attributes. The arrays it meets are plain ones in eager mode and traced
    ones while a step is recorded: it may branch on shapes and on `training`, never on
    values. Leading axes are free: address the batch as axis -2, features as axis -1.

        class Scale(Layer):                      # a = s ⊙ x
            def build(self, shape):
                self.declare("s", (1, shape[-1]), "ones")
                return shape
            def forward(self, x, training):
                self.x = x
                return x * self.s
            def backward(self, grad):
                self.ds[...] = (self.x * grad).sum(axis=-2, keepdims=True)
                return grad * self.s

    To assign to a parameter, `layer.W = values`, writes the values into the model's
    array, once their shape and their values have been checked; before there is one it
    is what the parameter starts from.

    Attributes:
        noise: random numbers inside a step, for layers with `uses_noise`.
        min_batch: the fewest samples a training batch may have.
    """

    noise: Noise
    uses_noise = False
    min_batch = 1

    def __setattr__(self, name: str, value: Any) -> None:
        home = self.__dict__.get("_home")
        if home is not None and home.has(name):
            home.put(self, name, value)  # into the model's arrays, or it would be lost
        else:
            object.__setattr__(self, name, value)

    def build(self, shape: Shape) -> Shape:
        """Declare parameters for samples of `shape`; return the outputs' shape."""
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        """The layer's output for x of shape (..., batch, *features)."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, grad: Array) -> Array:
        """∂J/∂x of the input from `grad`, ∂J/∂a; writes the parameters' gradients."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def constrain(self) -> None:
        """Bring the parameters back to where they are allowed, after each update."""

    def declare(
        self,
        name: str,
        shape: Shape,
        initializer: str | Initializer = "zeros",
        penalized: bool = False,
    ) -> None:
        """Ask for a trained parameter `self.<name>` with gradient `self.d<name>`."""
        penalized = check_flag("declare", "penalized", penalized)
        row = Parameter(name, shape, get_initializer(initializer), penalized)
        self._declared().append(row)

    def declare_state(self, name: str, shape: Shape, initializer: str) -> None:
        """Ask for an array that the forward pass updates and no gradient moves."""
        start = get_initializer(initializer)
        self._declared().append(Parameter(name, shape, start, trained=False))

    def _declared(self) -> list[Parameter]:
        found: list[Parameter] = self.__dict__.setdefault("_parameters", [])
        return found

    @property
    def declared(self) -> tuple[Parameter, ...]:
        """The parameters declared by `build`."""
        return tuple(self.__dict__.get("_parameters", ()))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values, for the saved description."""
        kind: Any = type(self)
        return {name: getattr(self, name) for name, _ in parameters(kind)}

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy: with copies of the weights that a model holds."""
        bound = {p.name for p in self.declared} | {f"d{p.name}" for p in self.declared}
        bound |= {"_parameters", "_home", "_taken"}
        state = {
            name: value
            for name, value in vars(self).items()
            if name not in bound and not isinstance(value, Noise)
        }
        home = vars(self).get("_home")
        return state if home is None else state | home.values()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"
