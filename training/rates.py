"""The learning rate of a trainer: its schedule, and what was set by hand."""

from xpnet.common import check_number
from xpnet.optim import Constant, Schedule


class Rates:
    """η(step) = scale · schedule(step), or a fixed rate.

    Attributes:
        schedule: the optimiser's.
        scale: a factor, 1 until somebody sets the rate.
        fixed: a rate that took the place of a schedule which had come to 0.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.scale = 1.0
        self.fixed: float | None = None

    def at(self, step: int) -> float:
        """The learning rate of `step` = 0, 1, ..."""
        if self.fixed is not None:
            return self.fixed
        return float(self.schedule(step) * self.scale)

    def of(self, first: int, steps: int) -> list[float]:
        """The learning rates of steps first, first + 1, ..., so many of them."""
        if self.fixed is not None or type(self.schedule) is Constant:
            return [self.at(first)] * steps
        return [self.at(first + i) for i in range(steps)]

    def set(self, rate: float, step: int) -> None:
        """Make `rate` the learning rate of `step`; later ones keep the proportion.

        Raises:
            ValueError, TypeError: not a number above 0.
        """
        rate = check_number("learning_rate", rate, "a number > 0", lambda r: r > 0.0)
        scheduled = self.schedule(step)
        if scheduled > 0.0:
            self.scale, self.fixed = rate / scheduled, None
        else:  # no factor lifts a schedule that has come to 0
            self.fixed = rate
