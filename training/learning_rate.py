"""The learning rate of a trainer: its schedule, and what was set by hand."""

from contextlib import suppress
from typing import Any

import numpy as np

from xpnet.common import check_number
from xpnet.optim import Constant, Schedule, rate_at


class LearningRate:
    """η(step) = scale · schedule(step), or a fixed rate.

    Args:
        schedule: the optimiser's.
        dtype: of the step's numbers: a rate that it does not hold is refused.

    Attributes:
        scale: a factor, 1 until the rate is set.
        fixed: a rate that took the place of a schedule which had come to 0.
    """

    def __init__(self, schedule: Schedule, dtype: np.dtype[Any]) -> None:
        self.schedule = schedule
        self.scale = 1.0
        self.fixed: float | None = None
        self._dtype, self._most = dtype, float(np.finfo(dtype).max)
        if type(schedule) is Constant:
            self._check(schedule.rate)

    def at(self, step: int) -> float:
        """The learning rate of `step` = 0, 1, ...

        Raises:
            ValueError, TypeError: see `rate_at`; a rate beyond the dtype.
        """
        if self.fixed is not None:
            return self.fixed
        if type(self.schedule) is Constant:
            return self.schedule.rate * self.scale
        rate = rate_at(self.schedule, step) * self.scale
        if rate > self._most:
            self._check(rate)
        return rate

    def _check(self, rate: float) -> None:
        if rate > self._most:
            raise ValueError(
                f"learning_rate: expected a rate within {self._dtype}, got {rate:g}; "
                "try one such as 0.01"
            )

    def of(self, first: int, steps: int) -> list[float]:
        """The learning rates of steps first, first + 1, ..., so many of them."""
        schedule = self.schedule
        if self.fixed is not None:
            return [self.fixed] * steps
        if type(schedule) is Constant:
            return [schedule.rate * self.scale] * steps
        return [self.at(first + i) for i in range(steps)]

    def until_refused(self, first: int, steps: int) -> list[float]:
        """Likewise, but for those from the first on that is refused.

        Raises:
            ValueError, TypeError: none is left; see `at`.
        """
        if self.fixed is not None or type(self.schedule) is Constant:
            return self.of(first, steps)
        rates = [self.at(first)]
        with suppress(ValueError, TypeError):  # it is told when that step comes
            rates.extend(self.at(first + i) for i in range(1, steps))
        return rates

    def set(self, rate: float, step: int) -> None:
        """Make `rate` the learning rate of `step`; later ones keep the proportion.

        Raises:
            ValueError, TypeError: not a number above 0, or beyond the dtype.
        """
        rate = check_number("learning_rate", rate, "a number > 0", lambda r: r > 0.0)
        self._check(rate)
        scheduled = rate_at(self.schedule, step)
        if scheduled > 0.0:
            self.scale, self.fixed = rate / scheduled, None
        else:  # no factor lifts a schedule that has come to 0
            self.fixed = rate
