"""A step length that satisfies the strong Wolfe conditions.

    φ(α) = f(x + α d)
    φ(α) ≤ φ(0) + c₁ α φ'(0)          f falls by a share of what the slope predicts
    |φ'(α)| ≤ c₂ |φ'(0)|              the slope has become flat

Nocedal and Wright, Numerical Optimization (2nd edition, 2006), algorithms 3.5 and 3.6,
with cubic interpolation (3.59) kept within the inner 80% of the interval. Close to the
minimum the differences of φ are rounding; there φ may rise by that much, and only the
slopes decide (the approximate conditions of Hager and Zhang, SIAM J. Optim. 16, 2005).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from xpnet.common.arrays import NDArray

LONGEST = 1e20  # the largest α: f is unbounded below


@dataclass(frozen=True)
class TrialStep:
    """φ and φ' at one α, with the point and its gradient."""

    alpha: float
    value: float
    slope: float
    x: NDArray
    g: NDArray

    @property
    def finite(self) -> bool:
        """Whether the objective could be evaluated there."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


@dataclass(frozen=True)
class LineSearch:
    """The search along one direction.

    Attributes:
        at: α → TrialStep.
        start: the trial of α = 0.
        noise: the most that φ may rise by rounding.
        c1, c2: the constants of the conditions.
        most: the most evaluations.
    """

    at: Callable[[float], TrialStep]
    start: TrialStep
    noise: float
    c1: float
    c2: float
    most: int

    def run(self, first: float) -> TrialStep | None:
        """Algorithm 3.5: a trial that satisfies both conditions.

        Else one that is clearly lower than the start, or None.
        """
        before, alpha = self.start, first
        for i in range(self.most):
            trial = self.at(alpha)
            if self._too_high(trial) or (i and trial.value >= before.value):
                return self._zoom(before, trial, self.most - i - 1)
            if self._flat(trial):
                return trial
            if trial.slope >= 0.0:
                return self._zoom(trial, before, self.most - i - 1)
            before, alpha = trial, 2.0 * alpha
            if alpha > LONGEST:
                break
        return before if before.alpha else None

    def _too_high(self, trial: TrialStep) -> bool:
        line = self.start.value + self.c1 * trial.alpha * self.start.slope
        return not trial.finite or trial.value > line + self.noise

    def _flat(self, trial: TrialStep) -> bool:
        return abs(trial.slope) <= -self.c2 * self.start.slope

    def _zoom(self, low: TrialStep, high: TrialStep, left: int) -> TrialStep | None:
        """Algorithm 3.6: `low` has the lowest φ so far and falls towards `high`."""
        for _ in range(left):
            trial = self.at(_between(low, high))
            if self._too_high(trial) or trial.value > low.value + self.noise:
                high = trial
                continue
            if self._flat(trial):
                return trial
            if trial.slope * (high.alpha - low.alpha) >= 0.0:
                high = low
            low = trial
        return low if low.value < self.start.value - self.noise else None


def _between(low: TrialStep, high: TrialStep) -> float:
    """The minimum of the cubic through both values and slopes, well inside."""
    width = high.alpha - low.alpha
    middle = low.alpha + 0.5 * width
    if not high.finite:
        return middle
    d1 = low.slope + high.slope - 3.0 * (low.value - high.value) / -width
    square = d1 * d1 - low.slope * high.slope
    if not square >= 0.0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    below = high.slope - low.slope + 2.0 * d2
    if below == 0.0:
        return middle
    share = 1.0 - (high.slope + d2 - d1) / below
    return low.alpha + min(max(share, 0.1), 0.9) * width
