"""The parameters of a training by name: views, gradients, copies, averages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from xpnet.backend import Array, Backend
from xpnet.execution.update import UpdateState
from xpnet.layers import Buffers, Sequential
from xpnet.layers.parameters import Named, check_names
from xpnet.optim import WeightAverage

# What `arrays` calls the model's own: no slot of an update rule has a name with a dot.
PARAMETERS, STATISTICS, NOISE_STEP = "model.params", "model.state", "model.step"


class ParameterAccess:
    """What may be read and set of a model on its device, and of its update rule.

    Attributes:
        model, backend: the layers, and where their arrays are.
        rule: the update's arrays, once the model is built.
        average: how averages follow the weights; None for no averages.
        steps_done: updates so far.
        sound: updates when the weights were last seen finite; None if never.
        inside_averages: whether the weights are their averages now, see `averaged`.
    """

    model: Sequential
    backend: Backend
    rule: UpdateState
    average: WeightAverage | None
    steps_done: int
    sound: int | None
    inside_averages: bool

    def arrays(self) -> dict[str, Array]:
        """Everything that a training changes, by name: its state, listed once.

        Parameters, running statistics, the step of masks and noise, then the update
        rule's arrays and the averages (see `UpdateState.arrays`).
        """
        buffers = self._built("arrays")
        own = (buffers.params, buffers.state, self.model.step)
        names = (PARAMETERS, STATISTICS, NOISE_STEP)
        return dict(zip(names, own, strict=True)) | self.rule.arrays()

    @property
    def flat_gradients(self) -> Array:
        """The flat array of all gradients, (n,), as the last step left it."""
        return self._built("flat_gradients").grads

    def penalized_weights(self) -> Array:
        """The flat array of the weights that penalties apply to: not the biases."""
        buffers = self._built("penalized_weights")
        return buffers.params[: self.model.layout.penalized]

    def parameters(self) -> dict[str, Array]:
        """{"0.W": (n_in, n_out), "0.b": (n_out,), ...}: views, on the device.

        To assign to one, `trainer.parameters()["0.W"] = values`, writes into it; see
        `set_parameters`.
        """
        return self._named("")

    def set_parameters(self, values: Mapping[str, object]) -> None:
        """Give parameters (and running statistics) these values: all, or none.

        Averages of the weights, if there are any, take the values too; the update
        rule's own arrays (momentum) stay.

        Args:
            values: {"0.W": (n_in, n_out), "0.b": (n_out,), ...}, of any of them.

        Raises:
            ValueError, TypeError: an unknown name, another shape, numbers that are not
                finite, a model without weights.
            RuntimeError: another thread trains the model.
        """
        self.model.set_parameters(values)

    def gradients(self) -> dict[str, Array]:
        """∂J/∂ of each parameter in the last step, under the same names."""
        return self._named("d")

    def _named(self, prefix: str) -> dict[str, Array]:
        what = "gradients" if prefix else "parameters"
        buffers = self._built(what)
        rows = {}
        places = {
            s.key: (s.layer, prefix + s.parameter.name) for s in buffers.layout.trained
        }

        def put(values: Mapping[str, object]) -> None:
            check_names(values, places, what)
            found = {places[name]: value for name, value in values.items()}
            buffers.assign(found, self.model.access)

        for slot in sorted(buffers.layout.trained, key=lambda s: s.layer):
            view = buffers.views[slot.layer, prefix + slot.parameter.name]
            row = slot.parameter.shape[0] == 1 and not slot.parameter.penalized
            rows[slot.key] = view[..., 0, :] if row else view
        return Named(rows, put)

    def _built(self, what: str) -> Buffers:
        if self.model.buffers is None:
            raise ValueError(
                f"{what}: the model has no weights yet; call trainer.build(n_features) "
                "or train first"
            )
        return self.model.buffers

    @property
    def is_averaged(self) -> bool:
        """Whether predictions are those of the averages, now."""
        averages = self.average is not None and not self.inside_averages
        return averages and self.steps_done > 0

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the weights (and running statistics) are their averages.

        Without `average`, and before the first update, they stay what they are. To
        train within the block is a ValueError, and another thread may not save.
        """
        if not self.is_averaged:
            yield
            return
        access = self.model.access
        with access.training(apart=True):
            with access.changing:
                kept = self.snapshot()
                self.restore((*kept[2:], *kept[2:]))
                self.inside_averages = True
            try:
                yield
            finally:
                with access.changing:
                    self.inside_averages = False
                    self.restore(kept)

    def check_outside_averages(self) -> None:
        """Raises ValueError within `averaged`, where nothing may be trained."""
        if self.inside_averages:
            raise ValueError("averaged: leave the block first, then train on")

    def snapshot(self, into: tuple[Array, ...] | None = None) -> tuple[Array, ...]:
        """Copies of the parameters, running statistics and averages, on the device."""
        arrays = self._learnt("snapshot")
        with self.model.access.reading, self.backend.active():
            if into is None:
                return tuple(array.copy() for array in arrays)
            for copy, array in zip(into, arrays, strict=True):
                copy[...] = array
        return into

    def restore(self, snapshot: tuple[Array, ...]) -> None:
        """Put a snapshot's values back."""
        self.sound = None
        with self.model.access.changing, self.backend.active():
            for array, copy in zip(self._learnt("restore"), snapshot, strict=True):
                array[...] = copy

    def _learnt(self, what: str) -> tuple[Array, ...]:
        buffers = self._built(what)
        return buffers.params, buffers.state, *self.rule.averages
