"""Sequential: layers one after the other."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.backend import Array, Shape, get_backend
from xpnet.common import explains_arguments
from xpnet.layers.layer import Layer
from xpnet.layers.model_arrays import ModelArrays
from xpnet.layers.ownership import bare, keep_start, taken, unbind, without_home
from xpnet.layers.parameters import Buffers, Layout


@explains_arguments
class Sequential(ModelArrays):
    """a[l] = layer[l](a[l-1]) forward, ∂J/∂a[l-1] = layer[l].backward(∂J/∂a[l]) back.

    The model owns one flat array of parameters and one of gradients; each layer's W, b
    are views into them. It is built when its first batch shows how wide it is, or by
    `build`, and lives on the device of the Trainer that takes it.

    A layer belongs to one model. Where it has one already, this model gets a copy of
    it, which starts from the weights that the layer has now:

        features = trained.model.layers[:-1]
        model = xn.Sequential([*features, xn.Dense(3)])

    Args:
        layers: `Layer` objects, input first. Each appears once.

    Raises:
        TypeError: something else than a list of layers.
        ValueError: no layer, or the same object twice.
    """

    def __init__(self, layers: Sequence[Layer]):
        super().__init__(tuple(map(taken, _checked(layers))))
        self.shapes: list[Shape] = []

    # Shapes.

    def build(self, features: int | Shape) -> "Sequential":
        """Fix the shape of a sample, and with it every parameter's; returns self.

        Args:
            features: n_in, or the sample's shape such as (28, 28).

        Raises:
            ValueError: a model that is built already for another shape, or layers
                that do not fit, with the layer's number.
        """
        shape = _sample_shape(features)
        if self.sample_shape is not None:
            if shape != self.sample_shape:
                raise ValueError(
                    f"this model is built for samples of shape {self.sample_shape}, "
                    f"got {shape}; make a new Sequential for another width"
                )
            return self
        sample, shapes = shape, []
        for i, layer in enumerate(self.layers):
            layer.__dict__["_parameters"] = []
            try:
                shape = layer.build(shape)
                keep_start(layer)
            except ValueError as error:
                raise ValueError(f"layer {i}: {error}") from None
            shape = _returned(shape, i, layer, "build")
            shapes.append(shape)
        self.sample_shape, self.shapes = sample, shapes
        self.layout = Layout.of(self.layers)
        return self

    def unbuild(self) -> None:
        """Forget the shape and the arrays: as it was before `build`."""
        self.sample_shape, self.shapes = None, []
        self.layout, self.buffers = Layout(), None
        for layer in self.layers:
            unbind(layer)

    @property
    def n_outputs(self) -> int:
        """The width of the last layer."""
        return self.shapes[-1][-1]

    @property
    def parameter_count(self) -> int:
        """Trained numbers of one network: (784-15-10 has 11,935)."""
        return sum(slot.size for slot in self.layout.trained)

    def summary(self) -> str:
        """A table: each layer, the shape of its output, its number of parameters."""
        if self.sample_shape is None:
            return (
                "not built yet: the first batch, or build(n_features), fixes the width"
            )
        rows = [
            ("layer", "output", "parameters"),
            ("input", str(self.sample_shape), ""),
        ]
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            count = sum(math.prod(p.shape) for p in layer.declared if p.trained)
            rows.append((repr(layer), str(shape), f"{count:,}"))
        rows.append(("total", "", f"{self.parameter_count:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    # The equations.

    def forward(self, x: Array, training: bool = False) -> Array:
        """The last layer's output for x of shape (..., batch, *features)."""
        for i, layer in enumerate(self.layers):
            x = _returned(layer.forward(x, training), i, layer, "forward")
        return x

    def backward(self, grad: Array) -> Array:
        """∂J/∂x of the input from ∂J/∂a; every layer writes its gradients."""
        lead = grad.shape[:-1]
        shapes = [self.sample_shape, *self.shapes]
        for i in reversed(range(len(self.layers))):
            layer = self.layers[i]
            grad = _returned(layer.backward(grad), i, layer, "backward")
            if grad.shape != (*lead, *(shapes[i] or ())):
                raise ValueError(
                    f"layer {i} ({type(layer).__name__}): backward: expected ∂J/∂x of "
                    f"the layer's input, shape {(*lead, *(shapes[i] or ()))}, got "
                    f"{grad.shape}"
                )
        return grad

    def copy(self) -> "Sequential":
        """An unallocated model of the same layers."""
        with self.access.recording:  # which leaves other things in them
            fresh = Sequential([bare(layer) for layer in self.layers])
        return fresh if self.sample_shape is None else fresh.build(self.sample_shape)

    # Pickle and copies: layers, and copies of the arrays on the host.

    def __getstate__(self) -> dict[str, Any]:
        layers = [without_home(layer) for layer in self.layers]
        state: dict[str, Any] = {"layers": layers, "shape": self.sample_shape}
        if self.buffers is None:
            return state
        backend = self.buffers.backend
        named = {
            key: np.array(
                backend.to_numpy(self.buffers.views[s.layer, s.parameter.name])
            )
            for key, s in self.slots().items()
        }
        return state | {
            "arrays": named,
            "steps": backend.to_numpy(self.step).copy(),
            "dtype": self.buffers.dtype.name,
            "device": backend.device,
            "precision": backend.precision,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["layers"])  # type: ignore[misc]
        if state["shape"] is not None:
            self.build(state["shape"])
        if "arrays" not in state:
            return
        backend, dtype = get_backend(state["device"]), np.dtype(state["dtype"])
        if state["precision"] != backend.precision:
            backend = backend.with_precision(state["precision"])
        lead = state["steps"].shape[:-2]
        buffers = Buffers(self.layout, backend, dtype, lead)
        for key, slot in self.slots().items():
            buffers.write(slot, state["arrays"][key])
        buffers.add_gradients()
        with backend.active():
            step = backend.asarray(state["steps"].astype(np.uint32))
        self.adopt(buffers, step, (0,) * max(1, step.size))

    def __copy__(self) -> "Sequential":
        return copy.deepcopy(self)  # two models cannot share the layers' arrays

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self.layers))}])"


def _returned(value: Any, i: int, layer: Layer, method: str) -> Any:
    """What a layer's method returned; raises TypeError if that is nothing."""
    if value is None:
        raise TypeError(
            f"layer {i} ({type(layer).__name__}): {method} returned None; did you "
            "forget `return`?"
        )
    return value


def _sample_shape(features: Any) -> Shape:
    """The shape of a sample from a width or a shape."""
    widths = features if isinstance(features, tuple | list) else (features,)
    whole = all(isinstance(n, int | np.integer) and n >= 1 for n in widths)
    if not widths or not whole:
        raise ValueError(
            f"build: expected widths of at least 1, whole numbers; got {features!r}"
        )
    return tuple(map(int, widths))


def _checked(layers: Sequence[Layer]) -> list[Layer]:
    if not isinstance(layers, list | tuple):
        raise TypeError(f"Sequential: expected a list of layers, got {layers!r}")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential: expected a Layer at position {i}, got {layer!r}"
            )
    if not layers:
        raise ValueError("Sequential: expected at least one layer, got none")
    if len({id(layer) for layer in layers}) < len(layers):
        raise ValueError(
            "Sequential: the same layer object appears twice; make one object a place"
        )
    return list(layers)
