"""Rollback state for steps that diverge."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from xpnet.backend import Array, Backend
from xpnet.compiler import Call
from xpnet.training.parameters import STATISTICS


class Counted(Protocol):
    """What counts the steps of a training."""

    steps_done: int


class Rollback:
    """A copy of what steps change, to be restored when one of them goes wrong.

    On the CPU each step is looked at before its update: only running statistics have
    moved by then, and they are kept every step. A GPU is asked once an epoch, so there
    everything is kept, once an epoch.

    Args:
        counted: its `steps_done` is kept too.
        arrays: all that a training changes, see `TrainingState.arrays`.
        backend: where they are.

    Attributes:
        each_step: whether it is kept every step.
        calls: the recorded form of `keep`, where that is so.
        pairs: (what is kept, its copy), likewise.
    """

    def __init__(
        self, counted: Counted, arrays: Mapping[str, Array], backend: Backend
    ) -> None:
        self._counted = counted
        self.each_step = backend.is_host
        kept = [arrays[STATISTICS]] if self.each_step else arrays.values()
        self._arrays = [array for array in kept if array.size]
        with backend.active():
            self._copies = [array.copy() for array in self._arrays]
        pairs = list(zip(self._arrays, self._copies, strict=True))
        self.pairs: list[tuple[Array, Array]] = pairs if self.each_step else []
        self.calls: list[Call] = [
            (np.copyto, (copy, array)) for array, copy in self.pairs
        ]
        self._steps = counted.steps_done

    def keep(self) -> None:
        """Copy everything as it is now."""
        self._steps = self._counted.steps_done
        for copy, array in zip(self._copies, self._arrays, strict=True):
            copy[...] = array

    def restore(self) -> None:
        """Make everything as it was when it was kept."""
        self._counted.steps_done = self._steps
        for copy, array in zip(self._copies, self._arrays, strict=True):
            array[...] = copy
