"""What a diverging training is taken back to."""

from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import Call

if TYPE_CHECKING:
    from xpnet.training.trainer import Trainer


class Safety:
    """A copy of what steps change, to be put back when one of them goes wrong.

    On the CPU each step is looked at before its update: only running statistics have
    moved by then, and they are kept every step. A GPU is asked once an epoch, so there
    everything is kept, once an epoch.

    Attributes:
        each_step: whether it is kept every step.
        calls: the recorded form of `keep`, where that is so.
        pairs: (what is kept, its copy), likewise.
    """

    def __init__(self, trainer: "Trainer") -> None:
        buffers = trainer.model.buffers
        assert buffers is not None
        self._trainer = trainer
        self.each_step = trainer.backend.is_host
        arrays = [buffers.state]
        if not self.each_step:
            arrays += [buffers.params, trainer.model.step]
            arrays += [*trainer.rule.slots, *trainer.rule.averages]
        self._arrays = [array for array in arrays if array.size]
        with trainer.backend.active():
            self._copies = [array.copy() for array in self._arrays]
        pairs = list(zip(self._arrays, self._copies, strict=True))
        self.pairs: list[tuple[Array, Array]] = pairs if self.each_step else []
        self.calls: list[Call] = [
            (np.copyto, (copy, array)) for array, copy in self.pairs
        ]
        self._steps = trainer.steps_done

    def keep(self) -> None:
        """Copy everything as it is now."""
        self._steps = self._trainer.steps_done
        for copy, array in zip(self._copies, self._arrays, strict=True):
            copy[...] = array

    def put_back(self) -> None:
        """Make everything as it was when it was kept."""
        self._trainer.steps_done = self._steps
        for copy, array in zip(self._copies, self._arrays, strict=True):
            array[...] = copy
