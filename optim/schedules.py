"""Learning rates as functions of the step: `schedule(t)`, for t = 0, 1, ...

A schedule is any function of a whole number; those below can be saved with a model.
A step is one update, on one batch: an epoch has ⌈samples / batch size⌉ steps. The rate
that falls on a plateau needs the validation loss: it is the callback `ReduceOnPlateau`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xpnet.common import check_number, choose, explains_arguments

Schedule = Callable[[int], float]


def _positive(owner: object, **values: float) -> None:
    for name, value in values.items():
        field = "rate" if name == "learning_rate" else name
        kind = type(owner).__name__
        number = check_number(kind, value, f"{name} > 0", lambda v: v > 0.0)
        plain = int(value) if isinstance(value, int | np.integer) else number
        object.__setattr__(owner, field, plain)  # a NumPy number would not be saved


@explains_arguments
@dataclass(frozen=True)
class Constant:
    """η(t) = rate."""

    rate: float

    def __post_init__(self) -> None:
        _positive(self, learning_rate=self.rate)

    def __call__(self, step: int) -> float:
        """The rate of `step`."""
        return self.rate


@explains_arguments
@dataclass(frozen=True)
class StepDecay:
    """η(t) = rate · factor^⌊t / every⌋, `every` in steps."""

    rate: float
    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, rate=self.rate, every=self.every, factor=self.factor)

    def __call__(self, step: int) -> float:
        """The rate of `step`."""
        return float(self.rate * self.factor ** (step // self.every))


@explains_arguments
@dataclass(frozen=True)
class ExponentialDecay:
    """η(t) = rate · factor^(t / every), `every` in steps."""

    rate: float
    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, rate=self.rate, every=self.every, factor=self.factor)

    def __call__(self, step: int) -> float:
        """The rate of `step`."""
        return float(self.rate * self.factor ** (step / self.every))


@explains_arguments
@dataclass(frozen=True)
class Cosine:
    """η(t) = final + (rate - final) (1 + cos(π t / steps)) / 2, then `final`.

    Loshchilov and Hutter (2016), arXiv:1608.03983, without restarts.
    """

    rate: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, rate=self.rate, steps=self.steps)
        span = "0 <= final <= rate"
        object.__setattr__(
            self,
            "final",
            check_number("Cosine", self.final, span, lambda v: 0.0 <= v <= self.rate),
        )

    def __call__(self, step: int) -> float:
        """The rate of `step`."""
        done = min(step / self.steps, 1.0)
        wave = (1.0 + math.cos(math.pi * done)) / 2.0
        return self.final + (self.rate - self.final) * wave


@explains_arguments
@dataclass(frozen=True)
class WarmUp:
    """η(t) = (t + 1) / steps · after(0) for t < steps, then after(t - steps).

    Goyal et al. (2017), arXiv:1706.02677.

    Args:
        after: the schedule that follows, or a constant rate.
        steps: updates until the first rate of `after`.
    """

    after: "Schedule | float"
    steps: int

    def __post_init__(self) -> None:
        _positive(self, steps=self.steps)
        object.__setattr__(self, "after", get_schedule(self.after))

    def __call__(self, step: int) -> float:
        """The rate of `step`."""
        after = get_schedule(self.after)
        if step < self.steps:
            return after(0) * (step + 1) / self.steps
        return after(step - self.steps)


SCHEDULES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Constant, StepDecay, ExponentialDecay, Cosine, WarmUp)
}


def get_schedule(rate: "float | Schedule") -> Schedule:
    """A number as a constant rate; a function of the step as it is.

    Raises:
        ValueError: a rate that is not above 0.
        TypeError: neither a number nor a function.
    """
    if callable(rate):
        return rate
    return Constant(
        check_number("optimizer", rate, "learning_rate > 0", lambda r: r > 0.0)
    )


def rate_at(schedule: Schedule, step: int) -> float:
    """The rate of `step` = 0, 1, ..., which may be 0.

    Raises:
        TypeError: the schedule returns something other than a number.
        ValueError: it returns a negative or infinite rate, or NaN.
    """
    try:
        rate: Any = schedule(step)
    except OverflowError:  # as factor ** step beyond every float
        rate = math.inf
    if type(rate) is not float:
        rate = _plain(schedule, step, rate)
    if not 0.0 <= rate < math.inf:
        raise ValueError(
            f"learning_rate: expected finite rates >= 0 of the schedule {schedule!r}, "
            f"got {rate} for step {step} (the first is 0); look at what it computes"
        )
    return float(rate)


def _plain(schedule: Schedule, step: int, rate: Any) -> float:
    """A number of any kind, or an array of one, as a float."""
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate[()]
    if isinstance(rate, bool) or not isinstance(
        rate, int | float | np.integer | np.floating
    ):
        raise TypeError(
            f"learning_rate: expected a number of the schedule {schedule!r}, got "
            f"{rate!r} for step {step} (the first is 0)"
        )
    try:
        return float(rate)
    except OverflowError:  # a whole number beyond every float
        return math.inf


def schedule_config(schedule: Schedule) -> dict[str, Any]:
    """A schedule of the table as plain values.

    Raises:
        ValueError: a schedule that is not in the table cannot be saved.
    """
    name = type(schedule).__name__
    if SCHEDULES.get(name) is not type(schedule):
        raise ValueError(
            f"the learning rate {schedule!r} cannot be saved; expected a number or one "
            f"of {', '.join(SCHEDULES)}"
        )
    values = {f.name: getattr(schedule, f.name) for f in fields(schedule)}  # type: ignore[arg-type]
    if "after" in values:
        values["after"] = schedule_config(values["after"])
    return {"name": name, **values}


def schedule_from(config: dict[str, Any]) -> Schedule:
    """The schedule that `schedule_config` described."""
    values = dict(config)
    kind = choose(values.pop("name", ""), SCHEDULES, "schedule")
    if "after" in values:
        values["after"] = schedule_from(values["after"])
    schedule: Schedule = kind(**values)
    return schedule
