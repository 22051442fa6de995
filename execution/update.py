"""The update's side of a step: the optimiser, its arrays, the numbers of a step."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from xpnet.backend import GRADIENT_NOISE, Array, stream_key
from xpnet.common.arrays import NDArray
from xpnet.layers import Buffers, Sequential, Views
from xpnet.optim import Optimizer, Transform, WeightAverage
from xpnet.trace import Noise

AVERAGES = ("average", "average of state")  # of the parameters, of the statistics


class UpdateState:
    """An optimiser at work on the flat buffers of a model.

    Args:
        optimizer: the update rule.
        buffers: the model's.
        seeds: of the gradient noise, one a network.
        average: how θ̄ follows the parameters; None for no averages.
        names: of another; needed where `optimizer` holds numbers of several networks.
        slots, averages: arrays to go on with.

    Attributes:
        slots: the flat arrays that it keeps between steps, (..., n), 0 at the start.
        numbers: (..., k), the numbers of this step in one array.
        names: of the rule's numbers, then of those of each transform that has any.
        scalars: views of those that the rule takes, by name.
        averages: θ̄ (..., n) and that of the running statistics (..., s), or nothing.
        is_noisy: whether a transform of the gradient draws noise.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        buffers: Buffers,
        seeds: tuple[int, ...] = (0,),
        average: WeightAverage | None = None,
        names: Sequence[Sequence[str]] | None = None,
        slots: Sequence[Array] | None = None,
        averages: Sequence[Array] | None = None,
    ) -> None:
        self.optimizer, self.average = optimizer, average
        self._buffers, self._backend = buffers, buffers.backend
        self._dtype = buffers.dtype
        chain = optimizer.chain
        self._kinds = _with_inputs(chain)
        self._more = [one.scalars for one in chain if one.has_scalars]
        if names is None:
            names = [list(of(1.0, 1)) for of in (optimizer.scalars, *self._more)]
        if len(names) != 1 + len(self._more):
            raise _other_transforms(optimizer)
        self.names = names
        zeros = buffers.backend.zeros
        with buffers.backend.active():
            shape = buffers.params.shape
            if slots is None:
                slots = [zeros(shape, buffers.dtype) for _ in optimizer.slots]
            self.slots = list(slots)
            width = sum(map(len, names)) + 1
            self.numbers = zeros((*buffers.lead, width), buffers.dtype)
            kept = [] if average is None else [buffers.params, buffers.state]
            if averages is None:
                averages = [zeros(array.shape, buffers.dtype) for array in kept]
                for mean, array in zip(averages, kept, strict=True):
                    mean[...] = array
            self.averages = list(averages)
        # One network's numbers are 0-d, which NumPy broadcasts fastest.
        places = [slice(i, i + 1) if buffers.lead else i for i in range(width)]
        *views, self._weight = [self.numbers[..., at] for at in places]
        rest = iter(views)
        groups = [dict(zip(group, rest, strict=False)) for group in names]
        self.scalars: dict[str, Array] = groups.pop(0)
        self._own = groups  # of each transform that has any
        noisy = [one.uses_noise for one in chain]
        self.is_noisy = any(noisy)
        self._used: Array | None = None
        self._noises = [self._drawn_from(seeds, i) for i in range(sum(noisy))]
        self._newest: tuple[float, ...] = ()
        self._largest = float(np.finfo(self._dtype).max)

    def arrays(self) -> dict[str, Array]:
        """What updates change besides the parameters, by name: slots, then averages."""
        slots = dict(zip(self.optimizer.slots, self.slots, strict=True))
        return slots | dict(zip(AVERAGES, self.averages, strict=False))

    def averaged_views(self) -> Views:
        """The averages as a layer's `W`, `b`, `running_mean` ..."""
        return self._buffers.over(*self.averages)

    def _mask(self) -> Array:
        """(n,), 1 where a parameter lies; what lies between stays 0."""
        if self._used is None:
            used = np.zeros(self._buffers.layout.size, self._dtype)
            for slot in self._buffers.layout.trained:
                used[slot.start : slot.start + slot.size] = 1.0
            with self._backend.active():
                self._used = self._backend.asarray(used)
        return self._used

    def _drawn_from(self, seeds: tuple[int, ...], index: int) -> Noise:
        """The noise of transform 0, 1, ... of those that draw any."""
        stream = (GRADIENT_NOISE, index) if index else (GRADIENT_NOISE,)
        keys = [stream_key(seed, *stream) for seed in seeds]
        host = np.array(keys, np.uint32).reshape((*self._buffers.lead, 1, 1))
        with self._backend.active():
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

    def table(self, rates: list[float], first: int) -> NDArray:
        """The numbers of steps first, first + 1, ... with these rates, a row each.

        Rows of it, copied into `numbers`, take the place of `write`.
        """
        self._newest = ()  # `numbers` is written elsewhere: what it holds is not known
        scalars, more, flat = self.optimizer.scalars, self._more, list[float]()
        if type(self.optimizer).scalars is Optimizer.scalars and not more:
            flat = rates  # the only numbers
        else:
            for t, rate in enumerate(rates, first):
                flat += scalars(rate, t).values()
                for own in more:
                    flat += own(rate, t).values()
        found = np.empty((len(rates), self.numbers.shape[-1]), self._dtype)
        found[:, :-1] = np.array(flat).reshape((len(rates), found.shape[-1] - 1))
        steps = range(first, first + len(rates))
        found[:, -1] = (
            1.0 if self.average is None else list(map(self.average.weight, steps))
        )
        return found

    def forget(self) -> None:
        """`numbers` is written elsewhere: what it holds is not known."""
        self._newest = ()

    def _row(self, rate: float, step: int) -> tuple[float, ...]:
        numbers = self.optimizer.scalars(rate, step).values()
        weight = 1.0 if self.average is None else self.average.weight(step)
        if not self._more:
            return (*numbers, weight)
        more = [value for own in self._more for value in own(rate, step).values()]
        return (*numbers, *more, weight)

    # The equations.

    def _noise(self, noise: Noise, step: Array, leaf: Any) -> Array:
        """ε ~ N(0, 1) of this step, of the shape of the gradients.

        Args:
            noise: where it is drawn.
            step: (..., 1, 1), the count that the numbers are drawn from.
            leaf: what makes an array one of the program.
        """
        *lead, n = self._buffers.params.shape
        noise.step = step
        epsilon = noise.normal((*lead, 1, n), self._dtype)
        noise.step = None
        return epsilon.reshape((*lead, n)) * leaf(self._mask())

    def _chain(self) -> list[tuple[Transform, dict[str, Array]]]:
        """The transforms as they are now, each with its numbers of this step."""
        chain, numbers = self.optimizer.chain, iter(self._own)
        if _with_inputs(chain) != self._kinds:
            raise _other_transforms(self.optimizer)
        return [(one, next(numbers) if one.has_scalars else {}) for one in chain]

    def _own_inputs(self, step: Array, leaf: Any) -> list[dict[str, Array]]:
        """Of each transform: its noise and its numbers of this step."""
        found, noises = [], iter(self._noises)
        for transform, numbers in self._chain():
            own = {}
            if transform.uses_noise:
                own["epsilon"] = self._noise(next(noises), step, leaf)
            found.append(own | {name: leaf(array) for name, array in numbers.items()})
        return found

    def penalty(self, leaf: Any = lambda array: array) -> Array | None:
        """What joins the reported loss, (..., 1, 1); None where nothing does."""
        total = None
        for transform, numbers in self._chain():
            if transform.reports_penalty:
                weights = leaf(self._buffers.params)
                weights = weights[..., : self._buffers.layout.penalized]
                own = {name: leaf(array) for name, array in numbers.items()}
                value = transform.penalty(weights, **own)
                total = value if total is None else total + value
        return total

    def update(self, model: Sequential, leaf: Any = lambda array: array) -> None:
        """θ ← rule(θ, ∂J/∂θ), then the layers' constraints and the averages.

        Args:
            model: whose buffers hold the gradients.
            leaf: what makes an array one of the program; none outside of one.
        """
        step, buffers = leaf(model.step), self._buffers
        own = self._own_inputs(step, leaf)
        whole = all(one.keeps_zeros for one in self.optimizer.chain)
        self.optimizer.step(
            leaf(buffers.params),
            leaf(buffers.grads),
            [leaf(slot) for slot in self.slots],
            {name: leaf(array) for name, array in self.scalars.items()},
            buffers.layout.penalized,
            own,
            None if whole and not self.is_noisy else leaf(self._mask()),
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


def _with_inputs(chain: Sequence[Transform]) -> list[type]:
    """The kinds of those that take numbers of the step, or noise."""
    return [type(one) for one in chain if one.has_scalars or one.uses_noise]


def _other_transforms(optimizer: Optimizer) -> ValueError:
    return ValueError(
        "optimizer: expected the transforms with numbers or noise that it had when its "
        f"trainer was built, got {optimizer!r}; make a new trainer"
    )
