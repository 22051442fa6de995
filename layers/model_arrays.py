"""The layers of a model and the arrays that they compute with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from xpnet.backend import NOISE, Array, Backend, Shape, stream_key
from xpnet.common.access import Access
from xpnet.layers.layer import Layer
from xpnet.layers.ownership import forget
from xpnet.layers.parameters import (
    Buffers,
    Home,
    Layout,
    Slot,
    Views,
    check_names,
    fitting,
)
from xpnet.trace import Noise, Tape


class ModelArrays:
    """Layers whose `W`, `dW`, ... are views of flat buffers, or leaves of a tape.

    Args:
        layers: each of this model alone.

    Attributes:
        sample_shape: of one sample; None until the model is built.
        layout: which parameter lies where.
        buffers: parameters, gradients and statistics; None before `allocate`.
        step: uint32 (*lead, 1, 1), steps that masks and noise have seen.
        access: who may touch the arrays now.
    """

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self._layers = layers
        self.sample_shape: Shape | None = None
        self.layout = Layout()
        self.buffers: Buffers | None = None
        self.step: Array = None
        self.access = Access()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Input first; a model of other layers is another model."""
        return self._layers

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
                    forget(layer)
                self.bind(views)

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
