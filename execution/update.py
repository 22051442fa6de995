"""The update's side of a step: the optimiser, its arrays, the numbers of a step."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from xpnet.backend import GRADIENT_NOISE, Array, stream_key
from xpnet.layers import Buffers, Sequential, Views
from xpnet.optim import Optimizer, WeightAverage
from xpnet.trace import Noise

AVERAGES = ("average", "average of state")  # of the parameters, of the statistics


class UpdateState:
    """An optimiser at work on the flat buffers of a model.

    Args:
        optimizer: the update rule.
        buffers: the model's.
        seeds: of the gradient noise, one a network.
        average: how θ̄ follows the parameters; None for no averages.
        names: of the numbers; needed where `optimizer` holds those of several networks.
        slots, averages: arrays to go on with.

    Attributes:
        slots: the flat arrays that it keeps between steps, (..., n), 0 at the start.
        numbers: (..., k), the numbers of this step in one array.
        scalars: views of those that the optimiser takes, by name.
        averages: θ̄ (..., n) and that of the running statistics (..., s), or nothing.
        is_noisy: whether noise is added to the gradient.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        buffers: Buffers,
        seeds: tuple[int, ...] = (0,),
        average: WeightAverage | None = None,
        names: Sequence[str] | None = None,
        slots: Sequence[Array] | None = None,
        averages: Sequence[Array] | None = None,
    ) -> None:
        self.optimizer, self.average = optimizer, average
        self._buffers, self._backend = buffers, buffers.backend
        self._dtype = buffers.dtype
        names = list(optimizer.scalars(1.0, 1)) if names is None else names
        names = [*names, "noise", "average"]
        zeros = buffers.backend.zeros
        with buffers.backend.active():
            shape = buffers.params.shape
            if slots is None:
                slots = [zeros(shape, buffers.dtype) for _ in optimizer.slots]
            self.slots = list(slots)
            self.numbers = zeros((*buffers.lead, len(names)), buffers.dtype)
            kept = [] if average is None else [buffers.params, buffers.state]
            if averages is None:
                averages = [zeros(array.shape, buffers.dtype) for array in kept]
                for mean, array in zip(averages, kept, strict=True):
                    mean[...] = array
            self.averages = list(averages)
        # One network's numbers are 0-d, which NumPy broadcasts fastest.
        places = [slice(i, i + 1) if buffers.lead else i for i in range(len(names))]
        self.scalars: dict[str, Array] = {
            name: self.numbers[..., at] for name, at in zip(names, places, strict=True)
        }
        self._noise_scale = self.scalars.pop("noise")
        self._weight = self.scalars.pop("average")
        self.is_noisy = bool(optimizer.gradient_noise)
        self._noise = self._drawn_from(seeds) if self.is_noisy else None
        self._newest: tuple[float, ...] = ()
        self._largest = float(np.finfo(self._dtype).max)

    def arrays(self) -> dict[str, Array]:
        """What updates change besides the parameters, by name: slots, then averages."""
        slots = dict(zip(self.optimizer.slots, self.slots, strict=True))
        return slots | dict(zip(AVERAGES, self.averages, strict=False))

    def averaged_views(self) -> Views:
        """The averages as a layer's `W`, `b`, `running_mean` ..."""
        return self._buffers.over(*self.averages)

    def _drawn_from(self, seeds: tuple[int, ...]) -> Noise:
        keys = [stream_key(seed, GRADIENT_NOISE) for seed in seeds]
        host = np.array(keys, np.uint32).reshape((*self._buffers.lead, 1, 1))
        used = np.zeros(self._buffers.layout.size, self._dtype)
        for slot in self._buffers.layout.trained:
            used[slot.start : slot.start + slot.size] = 1.0
        with self._backend.active():
            self._used = self._backend.asarray(used)  # what lies between stays 0
            return Noise(None, self._backend.asarray(host), self._backend.asarray)

    def write(self, rate: float, step: int) -> None:
        """Set the numbers of `step` = 1, 2, ... (rate, corrections)."""
        numbers = self._row(rate, step)
        if numbers != self._newest:
            fit = max(map(abs, numbers)) <= self._largest
            # `errstate` takes as long as all the rest of this.
            with nullcontext() if fit else np.errstate(over="ignore"):
                values: Any = np.asarray(numbers, self._dtype)
            self._backend.upload(self.numbers, values)
            self._newest = numbers

    def table(self, rates: list[float], first: int) -> np.ndarray[Any, Any]:
        """The numbers of steps first, first + 1, ... with these rates, a row each.

        Rows of it, copied into `numbers`, take the place of `write`.
        """
        self._newest = ()  # `numbers` is written elsewhere: what it holds is not known
        steps, scalars = range(first, first + len(rates)), self.optimizer.scalars
        flat: list[float] = []
        if type(self.optimizer).scalars is Optimizer.scalars:
            flat = rates  # the only numbers
        else:
            for t, rate in zip(steps, rates, strict=True):
                flat += scalars(rate, t).values()
        found = np.empty((len(rates), self.numbers.shape[-1]), self._dtype)
        found[:, :-2] = np.array(flat).reshape((len(rates), len(self.scalars)))
        found[:, -2] = list(map(self._sigma, steps)) if self.is_noisy else 0.0
        found[:, -1] = (
            1.0 if self.average is None else list(map(self.average.weight, steps))
        )
        return found

    def _sigma(self, step: int) -> float:
        """Of the noise of `step` = 1, 2, ..."""
        return self.optimizer.noise_scale(step - 1)

    def forget(self) -> None:
        """`numbers` is written elsewhere: what it holds is not known."""
        self._newest = ()

    def _row(self, rate: float, step: int) -> tuple[float, ...]:
        return (
            *self.optimizer.scalars(rate, step).values(),
            self._sigma(step) if self.is_noisy else 0.0,
            1.0 if self.average is None else self.average.weight(step),
        )

    # The equations.

    def noise(self, step: Array, leaf: Any) -> Array | None:
        """σ ε of this step, ε ~ N(0, 1), of the shape of the gradients; None without.

        Args:
            step: (..., 1, 1), the count that the numbers are drawn from.
            leaf: what makes an array one of the program.
        """
        if self._noise is None:
            return None
        *lead, n = self._buffers.params.shape
        self._noise.step = step
        epsilon = self._noise.normal((*lead, 1, n), self._dtype)
        self._noise.step = None
        return epsilon.reshape((*lead, n)) * leaf(self._used) * leaf(self._noise_scale)

    def penalty(self, leaf: Any = lambda array: array) -> Array | None:
        """What joins the reported loss, (..., 1, 1); None where nothing does."""
        if not self.optimizer.reports_penalty:
            return None
        weights = leaf(self._buffers.params)[..., : self._buffers.layout.penalized]
        scalars = {name: leaf(array) for name, array in self.scalars.items()}
        return self.optimizer.penalty(weights, scalars)

    def update(self, model: Sequential, leaf: Any = lambda array: array) -> None:
        """θ ← rule(θ, ∂J/∂θ), then the layers' constraints and the averages.

        Args:
            model: whose buffers hold the gradients.
            leaf: what makes an array one of the program; none outside of one.
        """
        step, buffers = leaf(model.step), self._buffers
        self.optimizer.step(
            leaf(buffers.params),
            leaf(buffers.grads),
            [leaf(slot) for slot in self.slots],
            {name: leaf(array) for name, array in self.scalars.items()},
            buffers.layout.penalized,
            self.noise(step, leaf),
        )
        for layer in model.layers:
            layer.constrain()
        self.update_averages(leaf)
        if self.is_noisy or any(layer.uses_noise for layer in model.layers):
            step[...] = step + 1

    def update_averages(self, leaf: Any) -> None:
        """Let the averages follow what the update has left."""
        followed = (self._buffers.params, self._buffers.state)
        for mean, values in zip(self.averages, followed, strict=False):
            if mean.size and self.average is not None:
                self.average.update(leaf(mean), leaf(values), leaf(self._weight))
