"""The path of an update rule on a plain function, for pictures and tests."""

from typing import Any

import numpy as np

from xpnet.common import check_whole
from xpnet.common.arrays import NDArray
from xpnet.optim.minimizer import Function, check_start
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.schedules import rate_at
from xpnet.optim.table import get_optimizer


def descend(
    rule: str | Optimizer, gradient: Function, start: Any, steps: int = 100
) -> NDArray:
    """x₀, x₁, ... of `rule`, (steps + 1, n), in float64.

        xₜ = rule(xₜ₋₁, ∂f/∂x at xₜ₋₁)

    Every entry of x is a weight: penalties and decay apply to all. A path may
    diverge to infinity, without a warning.

    Args:
        rule: an `Optimizer`, or the name of one with its defaults.
        gradient: ∂f/∂x of x (n,), (n,).
        start: x₀ (n,).
        steps: updates.

    Raises:
        ValueError: a start that is no vector, a gradient of another shape, a schedule
            that gives a negative rate, an infinite one or NaN.
    """
    rule = get_optimizer(rule)
    steps = check_whole("", "steps", steps, 1)
    x = check_start(start)
    path = np.empty((steps + 1, len(x)))
    path[0] = x
    slots = [np.zeros_like(x) for _ in rule.slots]
    with np.errstate(all="ignore"):
        for t in range(1, steps + 1):
            g = np.asarray(gradient(x.copy()), np.float64)
            if g.shape != x.shape:
                raise ValueError(
                    f"gradient: expected the shape of start, {x.shape}, got {g.shape}"
                )
            numbers = rule.scalars(rate_at(rule.schedule, t - 1), t)
            scalars = {name: np.asarray(value) for name, value in numbers.items()}
            rule.step(x, g, slots, scalars, penalized=len(x))
            path[t] = x
    return path
