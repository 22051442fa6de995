"""The flat buffers: every parameter of a model in one array, its gradient in another.

Layers see views. Penalised parameters (weights) come first, so that a penalty is one
formula over a prefix and needs no mask. For k stacked networks the buffers have shape
(k, n); a member's parameters are one row.
"""

import copy
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from xpnet.backend import WEIGHTS, Array, Backend, Shape, generator
from xpnet.layers.initializers import INITIALIZERS, Initializer, zeros
from xpnet.layers.layer import Layer, Parameter

ALIGN = 16  # elements: views start on a cache line in float32
Views = dict[tuple[int, str], Array]  # (layer, name) -> view
SMALL = 1 << 14  # elements whose initial values are remembered


@dataclass
class Slot:
    """Where a declared parameter lies in its buffer."""

    layer: int
    parameter: Parameter
    start: int

    @property
    def size(self) -> int:
        """Elements of one member."""
        return math.prod(self.parameter.shape)

    @property
    def key(self) -> str:
        """Its public name, "0.W"."""
        return f"{self.layer}.{self.parameter.name}"


@dataclass
class Layout:
    """Which parameter lies where.

    Attributes:
        trained: slots of the parameter and gradient buffers.
        state: slots of the buffer of running statistics.
        penalized: elements of the prefix that penalties apply to.
        size, state_size: elements of the buffers, padding included.
    """

    trained: list[Slot] = field(default_factory=list)
    state: list[Slot] = field(default_factory=list)
    penalized: int = 0
    size: int = 0
    state_size: int = 0

    @classmethod
    def of(cls, layers: list[Layer]) -> "Layout":
        """The layout of the built `layers`."""
        layout = cls()
        rows = [(i, p) for i, layer in enumerate(layers) for p in layer.declared]
        for i, p in sorted(rows, key=lambda row: not row[1].penalized):
            if not p.trained:
                layout.state.append(Slot(i, p, layout.state_size))
                layout.state_size += _padded(math.prod(p.shape))
                continue
            layout.trained.append(Slot(i, p, layout.size))
            layout.size += _padded(math.prod(p.shape))
            if p.penalized:
                layout.penalized = layout.size
        return layout


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


class Buffers:
    """The arrays of a model on one device.

    Attributes:
        params, grads: (*lead, n), the trained parameters and their gradients.
        state: (*lead, s), running statistics.
        views: name -> view into one of them ("0.W", "0.dW", "2.running_mean").
    """

    def __init__(
        self, layout: Layout, backend: Backend, dtype: np.dtype[Any], lead: Shape
    ) -> None:
        self.layout, self.backend, self.dtype, self.lead = layout, backend, dtype, lead
        with backend.active():
            self.params = backend.zeros((*lead, layout.size), dtype)
            self.state = backend.zeros((*lead, layout.state_size), dtype)
        self.views: Views = {}
        self._show_parameters()

    def _show_parameters(self) -> None:
        for slot in self.layout.trained:
            name = slot.parameter.name
            self.views[slot.layer, name] = self._view(self.params, slot)
        for slot in self.layout.state:
            view = self._view(self.state, slot)
            self.views[slot.layer, slot.parameter.name] = view

    def add_gradients(self) -> None:
        """Make room for gradients: after the draw, whose float64 is then free again."""
        shape = self.params.shape
        with self.backend.active():
            self.grads = self.backend.zeros(shape, self.dtype)
        self._show_gradients()

    def rows(self, members: slice) -> "Buffers":
        """The same memory, of some consecutive members of a stack alone."""
        part = copy.copy(self)
        part.params, part.state = self.params[members], self.state[members]
        part.grads = self.grads[members]
        part.lead, part.views = part.params.shape[:-1], {}
        part._show_parameters()
        part._show_gradients()
        return part

    def over(self, params: Array, state: Array) -> Views:
        """The views of parameters and statistics into other arrays of this layout."""
        part = copy.copy(self)
        part.params, part.state, part.views = params, state, {}
        part._show_parameters()
        return part.views

    def _show_gradients(self) -> None:
        for slot in self.layout.trained:
            view = self._view(self.grads, slot)
            self.views[slot.layer, "d" + slot.parameter.name] = view

    def _view(self, buffer: Array, slot: Slot) -> Array:
        part = buffer[..., slot.start : slot.start + slot.size]
        return part.reshape((*self.lead, *slot.parameter.shape))

    def draw(self, seeds: tuple[int, ...]) -> None:
        """Initial values, on the host, from one seed a member."""
        for slot in (*self.layout.trained, *self.layout.state):
            p = slot.parameter
            if p.initializer is zeros:  # as they are
                continue
            view = self.views[slot.layer, p.name].reshape((len(seeds), *p.shape))
            known = p.initializer in INITIALIZERS.values()
            drawn = _remembered if known and slot.size <= SMALL else _drawn
            for member, seed in zip(view, seeds, strict=True):
                key = (seed, WEIGHTS, slot.layer, _tag(p.name))
                with self.backend.active():
                    self.backend.upload(member, drawn(p.initializer, p.shape, key))

    def write(self, slot: Slot, values: np.ndarray[Any, Any]) -> None:
        """Copy host `values` into the parameter of `slot`."""
        view = self.views[slot.layer, slot.parameter.name]
        with self.backend.active():
            view[...] = self.backend.asarray(values, self.dtype)


def _drawn(initializer: Initializer, shape: Shape, key: tuple[int, ...]) -> Any:
    return initializer(generator(*key), shape)


# The networks of a search begin alike: equal keys give equal numbers.
_remembered = lru_cache(maxsize=32)(_drawn)


def _tag(name: str) -> int:
    """A number for a parameter's name, the same in every process."""
    return int.from_bytes(name.encode()[:8], "big")
