"""The flat buffers: every parameter of a model in one array, its gradient in another.

Layers see views. Penalised parameters (weights) come first, so that a penalty is one
formula over a prefix and needs no mask. For k stacked networks the buffers have shape
(k, n); a member's parameters are one row.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from xpnet.backend import WEIGHTS, Array, Backend, Shape, generator
from xpnet.common import nearest
from xpnet.common.access import Access
from xpnet.common.arrays import NDArray
from xpnet.layers.initializers import INITIALIZERS, Initializer, zeros
from xpnet.layers.layer import Layer, Parameter
from xpnet.trace import Traced

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
    def of(cls, layers: Sequence[Layer]) -> "Layout":
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
        followers: arrays that take assigned values too, such as averages.
    """

    def __init__(
        self, layout: Layout, backend: Backend, dtype: np.dtype[Any], lead: Shape
    ) -> None:
        self.layout, self.backend, self.dtype, self.lead = layout, backend, dtype, lead
        with backend.active():
            self.params = backend.zeros((*lead, layout.size), dtype)
            self.state = backend.zeros((*lead, layout.state_size), dtype)
        self.views: Views = {}
        self.followers: list[Views] = []
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

    def assign(self, values: Mapping[tuple[int, str], Any], access: Access) -> None:
        """Write values into the views of that name: all of them, or none.

        Args:
            values: (layer, "W") or (layer, "dW") -> numbers of its shape; a row
                (1, n) may be given as (n,).
            access: of the model.

        Raises:
            ValueError, TypeError: another shape, no numbers, NaN or infinite ones.
            RuntimeError: another thread trains the model.
        """
        fitting = {place: self._fitting(place, one) for place, one in values.items()}
        with access.changing, self.backend.active():
            for place, one in fitting.items():
                for views in (self.views, *self.followers):
                    if place in views:
                        self.backend.upload(views[place], one)

    def _fitting(self, place: tuple[int, str], value: Any) -> NDArray:
        name, shape = f"{place[0]}.{place[1]}", self.views[place].shape
        if self.backend.owns(value):
            value = self.backend.to_numpy(value)
        return fitting(name, value, shape, self.dtype)

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

    def write(self, slot: Slot, values: NDArray) -> None:
        """Copy host `values` into the parameter of `slot`."""
        view = self.views[slot.layer, slot.parameter.name]
        with self.backend.active():
            view[...] = self.backend.asarray(values, self.dtype)


def fitting(name: str, value: Any, shape: Shape, dtype: Any) -> NDArray:
    """`value` as a new array of this shape and dtype.

    Raises:
        ValueError, TypeError: see `Buffers.assign`.
    """
    try:
        given = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name}: expected numbers of shape {shape}; {error}") from None
    if given.dtype.kind not in "fiub":
        raise TypeError(
            f"{name}: expected real numbers of shape {shape}, got {given.dtype} of "
            f"shape {given.shape}"
        )
    short = shape[:-2] + shape[-1:] if shape[-2:-1] == (1,) else shape
    if given.shape not in (shape, short):
        raise ValueError(f"{name}: expected shape {short}, got {given.shape}")
    with np.errstate(over="ignore"):
        found = np.array(given, dtype).reshape(shape)
    bad = found.size - int(np.isfinite(found).sum())
    if bad:
        raise ValueError(
            f"{name}: expected finite numbers in {np.dtype(dtype)}, got {bad} NaN or "
            "infinite ones"
        )
    return found


class Home:
    """Where the parameters of a layer are: in the arrays of its model.

    Args:
        buffers, access: of the model.
        layer: its number.
    """

    def __init__(self, buffers: Buffers, access: Access, layer: int) -> None:
        self._buffers, self._access, self._layer = buffers, access, layer
        self._names = {name for i, name in buffers.views if i == layer}

    @property
    def recording(self) -> Any:
        """The lock of what leaves other things than arrays in the layer."""
        return self._access.recording

    def has(self, name: str) -> bool:
        """Whether the layer has such a parameter, statistic or gradient."""
        return name in self._names

    def put(self, layer: Layer, name: str, value: Any) -> None:
        """Write `value` into the array `name`; see `Buffers.assign`."""
        bound = layer.__dict__[name]
        if isinstance(bound, Traced) or isinstance(value, Traced):
            bound[...] = value  # a step is being recorded
        else:
            self._buffers.assign({(self._layer, name): value}, self._access)

    def values(self) -> dict[str, NDArray]:
        """Copies of the parameters and statistics, on the host."""
        buffers = self._buffers
        slots = (*buffers.layout.trained, *buffers.layout.state)
        with self._access.reading:
            return {
                slot.parameter.name: np.array(
                    buffers.backend.to_numpy(
                        buffers.views[self._layer, slot.parameter.name]
                    )
                )
                for slot in slots
                if slot.layer == self._layer
            }


class Named(dict[str, Array]):
    """Views of a model's arrays by name; to assign to one writes into the array.

    A copy, or what a pickle gives back, is a plain dict of arrays of its own.

    Args:
        views: by name.
        put: writes values by name, all or none.
    """

    def __init__(
        self, views: dict[str, Array], put: Callable[[Mapping[str, Any]], None]
    ) -> None:
        super().__init__(views)
        self._put = put

    def __setitem__(self, name: str, value: Any) -> None:
        self._put({name: value})

    def update(self, *values: Any, **named: Any) -> None:
        """Write several values: all of them, or none."""
        self._put(dict(*values, **named))

    def __ior__(self, values: Any) -> "Named":  # type: ignore[override,misc]
        self.update(values)
        return self

    def _refuse(self, *arguments: Any) -> Any:
        raise TypeError(
            "these are a model's arrays, of which none can be removed; "
            "dict(...) makes a dict of your own"
        )

    __delitem__ = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def check_names(values: Any, names: Iterable[str], what: str) -> None:
    """Raises TypeError unless `values` is a mapping, ValueError for unknown names."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{what}: expected {{name: values}}, got {values!r}")
    known = list(names)
    for name in values:
        if name not in known:
            raise ValueError(f"{what}: no {name!r}; {nearest(name, known)}")


def _drawn(initializer: Initializer, shape: Shape, key: tuple[int, ...]) -> Any:
    return initializer(generator(*key), shape)


# The networks of a search begin alike: equal keys give equal numbers.
_remembered = lru_cache(maxsize=32)(_drawn)


def _tag(name: str) -> int:
    """A number for a parameter's name, the same in every process."""
    return int.from_bytes(name.encode()[:8], "big")
