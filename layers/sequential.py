"""Sequential: layers one after the other, and the flat buffers they share."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from xpnet.backend import NOISE, Array, Backend, Shape, get_backend, stream_key
from xpnet.common import explains_arguments, parameters
from xpnet.common.access import Access
from xpnet.layers.layer import Layer
from xpnet.layers.parameters import (
    Buffers,
    Home,
    Layout,
    Slot,
    Views,
    check_names,
    fitting,
)
from xpnet.trace import Noise, Tape, Traced


@explains_arguments
class Sequential:
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
        self._layers = tuple(map(_taken, _checked(layers)))
        self.sample_shape: Shape | None = None
        self.shapes: list[Shape] = []
        self.layout = Layout()
        self.buffers: Buffers | None = None
        self.step: Array = None
        self.access = Access()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Input first; a model of other layers is another model."""
        return self._layers

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
                _keep_start(layer)
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
            _unbind(layer)

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

    # Arrays.

    def allocate(
        self,
        backend: Backend,
        dtype: np.dtype[Any],
        seeds: tuple[int, ...],
        lead: Shape = (),
    ) -> None:
        """Put the parameters on `backend`: drawn from the seeds, or, where the model
        has some already, the ones it has.
        """
        if self.sample_shape is None:
            raise ValueError("allocate: the model is not built; call build(n_features)")
        old = self.buffers
        if old and (old.backend, old.dtype, old.lead) == (backend, dtype, lead):
            self.bind_noise(seeds)
            return
        self.buffers = Buffers(self.layout, backend, dtype, lead)
        if old is None:
            self.buffers.draw(seeds)
            self._start()
        else:
            self._take_over(old)
        self.buffers.add_gradients()
        with backend.active():
            step = backend.zeros((*lead, 1, 1), np.uint32)
        self.adopt(self.buffers, step, seeds)

    def _start(self) -> None:
        """Parameters that were set before there were arrays have these values."""
        assert self.buffers is not None
        for slot in self.slots().values():
            start = vars(self.layers[slot.layer]).get("_start", {})
            if slot.parameter.name in start:
                shape, dtype = slot.parameter.shape, self.buffers.dtype
                value = fitting(slot.key, start[slot.parameter.name], shape, dtype)
                self.buffers.write(slot, value)

    def adopt(self, buffers: Buffers, step: Array, seeds: tuple[int, ...]) -> None:
        """Compute with these arrays, and noise of these seeds from `step` on.

        Args:
            buffers: parameters, gradients and statistics, of this model's layout.
            step: uint32 (*lead, 1, 1), steps done.
            seeds: one a network.
        """
        self.buffers, self.step = buffers, step
        self.bind_noise(seeds)
        self.bind(buffers.views)
        for i, layer in enumerate(self.layers):
            layer.__dict__["_home"] = Home(buffers, self.access, i)

    def _take_over(self, old: Buffers) -> None:
        assert self.buffers is not None
        if old.lead != self.buffers.lead:
            raise ValueError(
                f"this model holds {old.lead or 'one'} network(s), not "
                f"{self.buffers.lead or 'one'}; make a new Sequential"
            )
        for slot in (*self.layout.trained, *self.layout.state):
            source = old.views[slot.layer, slot.parameter.name]
            self.buffers.write(slot, old.backend.to_numpy(source))

    def bind_noise(self, seeds: tuple[int, ...]) -> None:
        """Let masks and noise be drawn from these seeds, one a network."""
        assert self.buffers is not None
        backend, lead = self.buffers.backend, self.buffers.lead
        with backend.active():
            for i, layer in enumerate(self.layers):
                if layer.uses_noise:
                    keys = [stream_key(seed, NOISE, i) for seed in seeds]
                    host = np.array(keys, np.uint32).reshape((*lead, 1, 1))
                    key = backend.asarray(host)
                    layer.noise = Noise(self.step, key, backend.asarray)

    def bind(self, views: Views) -> None:
        """Set each layer's `W`, `dW`, ... to these arrays."""
        for (i, name), view in views.items():
            self.layers[i].__dict__[name] = view

    @contextmanager
    def shown(self, shown: Views) -> Iterator[None]:
        """Within the block the layers compute with these arrays."""
        assert self.buffers is not None
        with self.access.recording:
            self.bind(shown)
            try:
                yield
            finally:
                self.bind(self.buffers.views)

    @contextmanager
    def traced(self, tape: Tape, shown: Views | None = None) -> Iterator[None]:
        """Within the block every layer meets its parameters as leaves of `tape`.

        Args:
            tape: of the record.
            shown: arrays in the place of the layers' own.
        """
        assert self.buffers is not None
        with self.access.recording:
            views = self.buffers.views
            noisy = [layer.noise for layer in self.layers if layer.uses_noise]
            leaves = views if shown is None else views | shown
            self.bind({key: tape.leaf(view) for key, view in leaves.items()})
            for noise in noisy:
                noise.step = tape.leaf(self.step)
            try:
                yield
            finally:
                for noise in noisy:
                    noise.step = self.step
                for layer in self.layers:
                    _forget(layer)
                self.bind(views)

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
                    f"layer {i} ({type(layer).__name__}): backward: expected δ of the "
                    f"layer's input, shape {(*lead, *(shapes[i] or ()))}, got "
                    f"{grad.shape}"
                )
        return grad

    def slots(self) -> dict[str, Slot]:
        """The slots of everything that training changes, by public name."""
        return {s.key: s for s in (*self.layout.trained, *self.layout.state)}

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Give parameters (and running statistics) these values: all, or none.

        Args:
            values: {"0.W": (n_in, n_out), "0.b": (n_out,), ...}, of any of them.

        Raises:
            ValueError, TypeError: an unknown name, another shape, numbers that are not
                finite, a model without weights.
            RuntimeError: another thread trains the model.
        """
        if self.buffers is None:
            raise ValueError(
                "set_parameters: the model has no weights yet; call "
                "trainer.build(n_features) first"
            )
        places = {k: (s.layer, s.parameter.name) for k, s in self.slots().items()}
        check_names(values, places, "set_parameters")
        found = {places[name]: value for name, value in values.items()}
        self.buffers.assign(found, self.access)

    def copy(self) -> "Sequential":
        """An unallocated model of the same layers."""
        with self.access.recording:  # which leaves other things in them
            fresh = Sequential([_bare(layer) for layer in self.layers])
        return fresh if self.sample_shape is None else fresh.build(self.sample_shape)

    # Pickle and copies: layers, and copies of the arrays on the host.

    def __getstate__(self) -> dict[str, Any]:
        layers = [_without_home(layer) for layer in self.layers]
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


def _without_home(layer: Layer) -> Layer:
    """The same layer as an object that knows of no model's arrays."""
    fresh = type(layer).__new__(type(layer))
    vars(fresh).update({k: v for k, v in vars(layer).items() if k != "_home"})
    return fresh


def _bare(layer: Layer) -> Layer:
    """A copy of `layer` as its constructor left it, as far as one can tell."""
    kind: Any = type(layer)
    given = {name for name, _ in parameters(kind)}
    bound = {p.name for p in layer.declared} | {f"d{p.name}" for p in layer.declared}
    bound |= {"_home", "_taken", "_start"}
    fresh = type(layer).__new__(type(layer))
    found = vars(fresh)
    found.update(vars(layer))
    for name, value in vars(layer).items():
        left = hasattr(value, "strides") and name not in given  # by a step
        if name in bound or isinstance(value, Noise) or left:
            del found[name]
        elif isinstance(value, Layer):
            found[name] = _bare(value)
        elif isinstance(value, list | dict | set):
            found[name] = copy.copy(value)
    found.update(vars(layer).get("_start", {}))
    return fresh


def _taken(layer: Layer) -> Layer:
    """The layer for a model: a copy with its weights if another model has it."""
    if "_taken" in vars(layer):
        home = vars(layer).get("_home")
        values = {} if home is None else home.values()
        with nullcontext() if home is None else home.recording:
            layer = _bare(layer)
        vars(layer).update(values)
    vars(layer)["_taken"] = True
    return layer


def _keep_start(layer: Layer) -> None:
    """Arrays that were set as parameters before `build` are what these start from."""
    start = vars(layer)["_start"] = {}
    for p in layer.declared:
        value = vars(layer).get(p.name)
        if isinstance(value, list) or getattr(value, "shape", None):
            start[p.name] = fitting(p.name, value, p.shape, np.float64)


def _unbind(layer: Layer) -> None:
    """Put the values in the place of the model's arrays that it starts from."""
    if vars(layer).pop("_home", None) is not None:
        for p in layer.declared:
            vars(layer).pop(p.name, None)
            vars(layer).pop(f"d{p.name}", None)
    vars(layer).update(vars(layer).get("_start", {}))


def _forget(layer: Layer) -> None:
    """Drop what a recorded pass left in `layer` (its x, z, a): not arrays but nodes."""
    inner = [v for v in vars(layer).values() if isinstance(v, Layer)]
    for part in (layer, *inner):
        for name in [k for k, v in vars(part).items() if isinstance(v, Traced)]:
            delattr(part, name)
