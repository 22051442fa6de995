"""A few networks that take several epochs without waiting for the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xpnet.common.arrays import NDArray
from xpnet.execution import c_steps
from xpnet.execution.step import TrainingStep
from xpnet.stack.parameters import ModelSlice

Closing = Callable[[int, int, int], object]  # of an epoch, for networks first ...


@dataclass(eq=False)
class StepRange:
    """The batches of one size that a models takes in an epoch.

    Attributes:
        models, step: of the networks.
        first: the number of its first batch in an epoch.
        count: batches in an epoch.
        index: the samples of networks that are alike, (lists, epochs · count, batch).
        weighted: where the weights of all networks are, (networks, epochs · count,
            batch), or nothing.
        table: the numbers of the steps, (epochs · count, k, names).
        losses: of the steps, (epochs · count, k).
        steps: in C.
        most: networks at a time, at most.
    """

    models: ModelSlice
    step: TrainingStep
    first: int
    count: int
    index: NDArray
    weighted: NDArray
    table: NDArray
    losses: NDArray
    steps: c_steps.Steps
    most: int

    @property
    def linked(self) -> bool:
        """Whether `steps` are still those of the program."""
        program = self.step.program
        return program is not None and program.native is self.steps.native


class NetworkBlock:
    """Networks that take their epochs without the others.

    Args:
        ranges: of an epoch, one behind the other.
        first: of the networks, of all.
        count: how many.
        closing: what is computed at the end of each epoch; None for nothing.

    Attributes:
        epoch: that comes next, or is under way.
    """

    def __init__(
        self,
        ranges: Sequence[StepRange],
        first: int,
        count: int,
        closing: Closing | None,
    ) -> None:
        self._ranges, self._first, self._networks = ranges, first, count
        self._closing = closing
        self.epoch = self._range = self._done = 0

    def run(self, stop: int) -> bool:
        """Take the epochs before `stop`; False where a step's numbers are not finite,
        which has not had its update.
        """
        together = len(self._ranges) == 1 and self._closing is None
        while self.epoch < stop:
            step_range, first = (
                self.step_range,
                self._first - self.step_range.models.rows.start,
            )
            epochs = stop - self.epoch if together else 1
            end = (self.epoch + epochs) * step_range.count
            reached = step_range.steps.run(self._at, end, first, self._networks)
            if reached < end:
                self.epoch, self._done = divmod(reached, step_range.count)
                return False
            self._range, self._done = (self._range + 1) % len(self._ranges), 0
            if self._range == 0:
                if self._closing is not None:
                    self._closing(self.epoch, self._first, self._networks)
                self.epoch += epochs
        return True

    def update(self) -> None:
        """The update of the step at which `run` has stopped."""
        self.step_range.steps.update(self._at, self.among.start, self._networks)
        self._done += 1

    @property
    def step_range(self) -> StepRange:
        """Where it is."""
        return self._ranges[self._range]

    @property
    def _at(self) -> int:
        """The number of the next step in its step_range."""
        return self.epoch * self.step_range.count + self._done

    @property
    def batch(self) -> int:
        """The number of the next step in its epoch."""
        return self.step_range.first + self._done

    @property
    def among(self) -> range:
        """Its networks, as the models of `step_range` count them."""
        first = self._first - self.step_range.models.rows.start
        return range(first, first + self._networks)
