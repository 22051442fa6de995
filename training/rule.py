"""The update's side of a step: the optimiser, its arrays, the numbers of a step."""

from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.layers import Buffers
from xpnet.optim import Optimizer


class Rule:
    """An optimiser at work on the flat buffers of a model.

    Attributes:
        optimizer: the update rule.
        slots: the flat arrays that it keeps between steps, (..., n), 0 at the start.
        scalars: arrays with the numbers of this step, by name.
    """

    def __init__(self, optimizer: Optimizer, buffers: Buffers) -> None:
        self.optimizer, self._backend = optimizer, buffers.backend
        self._dtype = buffers.dtype
        names = list(optimizer.scalars(1.0, 1))
        zeros = buffers.backend.zeros
        with buffers.backend.active():
            shape = buffers.params.shape
            self.slots = [zeros(shape, buffers.dtype) for _ in optimizer.slots]
            self._numbers = zeros((*buffers.lead, len(names)), buffers.dtype)
        # One network's numbers are 0-d, which NumPy broadcasts fastest.
        places = [slice(i, i + 1) if buffers.lead else i for i in range(len(names))]
        self.scalars: dict[str, Array] = {
            name: self._numbers[..., at] for name, at in zip(names, places, strict=True)
        }
        self._newest: tuple[float, ...] = ()

    def write(self, rate: float, step: int) -> None:
        """Set the numbers of `step` = 1, 2, ... (rate, corrections)."""
        numbers = tuple(self.optimizer.scalars(rate, step).values())
        if numbers != self._newest:
            values: Any = np.asarray(numbers, self._dtype)
            self._backend.upload(self._numbers, values)
            self._newest = numbers
