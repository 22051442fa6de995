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
        numbers: (..., k), the numbers of this step in one array.
        scalars: views of them, by name.
    """

    def __init__(self, optimizer: Optimizer, buffers: Buffers) -> None:
        self.optimizer, self._backend = optimizer, buffers.backend
        self._dtype = buffers.dtype
        names = list(optimizer.scalars(1.0, 1))
        zeros = buffers.backend.zeros
        with buffers.backend.active():
            shape = buffers.params.shape
            self.slots = [zeros(shape, buffers.dtype) for _ in optimizer.slots]
            self.numbers = zeros((*buffers.lead, len(names)), buffers.dtype)
        # One network's numbers are 0-d, which NumPy broadcasts fastest.
        places = [slice(i, i + 1) if buffers.lead else i for i in range(len(names))]
        self.scalars: dict[str, Array] = {
            name: self.numbers[..., at] for name, at in zip(names, places, strict=True)
        }
        self._newest: tuple[float, ...] = ()

    def write(self, rate: float, step: int) -> None:
        """Set the numbers of `step` = 1, 2, ... (rate, corrections)."""
        numbers = tuple(self.optimizer.scalars(rate, step).values())
        if numbers != self._newest:
            values: Any = np.asarray(numbers, self._dtype)
            self._backend.upload(self.numbers, values)
            self._newest = numbers

    def table(self, rates: list[float], first: int) -> np.ndarray[Any, Any]:
        """The numbers of steps first, first + 1, ... with these rates, a row each.

        Whoever writes rows of it into `numbers` takes the place of `write`.
        """
        self._newest = ()
        scalars = self.optimizer.scalars
        rows = [tuple(scalars(r, t).values()) for t, r in enumerate(rates, first)]
        return np.array(rows, self._dtype)
