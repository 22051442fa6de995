"""L-BFGS: a quasi-Newton method that uses the last few steps."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from xpnet.common import check_number, check_whole, explains_arguments
from xpnet.common.arrays import NDArray
from xpnet.optim.line_search import LineSearch, TrialStep
from xpnet.optim.minimizer import Iterate, Minimizer, Objective, check_begun

Pair = tuple[NDArray, NDArray, float]
PATIENCE = 20  # iterations without progress beyond rounding


@explains_arguments
class LBFGS(Minimizer):
    """Newton's direction, with the Hessian estimated from the last steps.

        d = -H g,   H from the pairs s = x₊ - x, y = g₊ - g, ρ = 1 / sᵀy:
            q ← g;  newest to oldest: a = ρ sᵀq, q ← q - a y
            r ← (sᵀy / yᵀy of the newest) q
            oldest to newest: r ← r + s (a - ρ yᵀr);  d = -r
        x ← x + α d,   α by the strong Wolfe conditions

    Full batch: the objective must give the same value for the same weights. Nocedal
    and Wright (2006), algorithms 7.4 and 7.5; see `line_search` for α. PyTorch's
    `LBFGS` has a learning rate, and a line search only with line_search_fn
    "strong_wolfe"; optax's has a line search; Keras has no such method. Liu and Nocedal
    (1989), Mathematical Programming 45.

    Args:
        memory: number of pairs.
        tolerance: the iteration ends when no entry of the gradient is larger.
        c1, c2: of the Wolfe conditions, 0 < c1 < c2 < 1.
        max_evaluations: of the objective in one line search.

    Raises:
        ValueError: a number out of its range.
    """

    uses_gradient = True

    def __init__(
        self,
        memory: int = 10,
        tolerance: float = 1e-8,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ):
        self.memory = check_whole("LBFGS", "memory", memory, 1)
        self.tolerance = check_number(
            "LBFGS", tolerance, "tolerance >= 0", lambda v: v >= 0.0
        )
        self.c1 = check_number("LBFGS", c1, "0 < c1 < 1", lambda v: 0.0 < v < 1.0)
        self.c2 = check_number(
            "LBFGS", c2, f"c1 = {c1} < c2 < 1", lambda v: self.c1 < v < 1.0
        )
        self.max_evaluations = check_whole(
            "LBFGS", "max_evaluations", max_evaluations, 2
        )

    def iterate(self, objective: Objective, start: NDArray) -> Iterator[Iterate]:
        """The start, then one point per iteration."""
        value, g = objective.slope(start)
        check_begun("LBFGS", value + float(np.abs(g).sum()))
        here = TrialStep(0.0, value, 0.0, start, g)
        pairs: deque[Pair] = deque(maxlen=self.memory)
        lowest, waited, note = _Progress(here), 0, self._done(here)
        yield Iterate(here.x, here.value, 0.0, note)
        while not note:
            found = self._search(objective, here, pairs)
            if found is None and pairs:  # -H g failed: try the gradient alone
                pairs.clear()
                found = self._search(objective, here, pairs)
            if found is None:
                note = "f falls no further along the gradient: rounding"
                yield Iterate(here.x, here.value, 0.0, note)
                return
            _remember(pairs, here, found)
            here = found
            waited = 0 if lowest.better(here, _noise(objective, here)) else waited + 1
            note = self._done(here)
            if waited >= PATIENCE and not note:
                note = f"no progress in {PATIENCE} iterations: rounding"
            yield Iterate(here.x, here.value, here.alpha, note)

    def _done(self, here: TrialStep) -> str:
        largest = float(np.abs(here.g).max())
        met = largest <= self.tolerance
        return f"no entry of the gradient exceeds {self.tolerance:g}" if met else ""

    def _search(
        self, objective: Objective, here: TrialStep, pairs: deque[Pair]
    ) -> TrialStep | None:
        """A lower point along -H g, or None."""
        d = -_two_loops(here.g, pairs)
        slope = float(here.g @ d)
        if not slope < 0.0:
            return None

        def at(alpha: float) -> TrialStep:
            x = here.x + alpha * d
            value, g = objective.slope(x)
            return TrialStep(alpha, value, float(g @ d), x, g)

        # Newton's step is 1. A gradient has no scale: move x by at most 1.
        first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(here.g).sum()))
        start = TrialStep(0.0, here.value, slope, here.x, here.g)
        noise, most = _noise(objective, here), self.max_evaluations
        return LineSearch(at, start, noise, self.c1, self.c2, most).run(first)


class _Progress:
    """The lowest value and gradient so far."""

    def __init__(self, start: TrialStep) -> None:
        self.value, self.slope = start.value, float(np.abs(start.g).max())

    def better(self, here: TrialStep, noise: float) -> bool:
        """Whether `here` is lower than all before by more than rounding."""
        slope = float(np.abs(here.g).max())
        progress = here.value < self.value - noise or slope < self.slope
        self.value, self.slope = min(self.value, here.value), min(self.slope, slope)
        return progress


def _noise(objective: Objective, here: TrialStep) -> float:
    return 10.0 * objective.epsilon * abs(here.value)


def _remember(pairs: deque[Pair], old: TrialStep, new: TrialStep) -> None:
    """Keep the step's pair if the curvature along it is positive."""
    s, y = new.x - old.x, new.g - old.g
    curvature = float(s @ y)
    if curvature > np.finfo(np.float64).eps * float(y @ y):
        pairs.append((s, y, 1.0 / curvature))


def _two_loops(g: NDArray, pairs: deque[Pair]) -> NDArray:
    """H g: algorithm 7.4."""
    r, shares = g.copy(), []
    for s, y, rho in reversed(pairs):
        a = rho * float(s @ r)
        r -= a * y
        shares.append(a)
    if pairs:
        s, y, rho = pairs[-1]
        r /= rho * float(y @ y)
    for (s, y, rho), a in zip(pairs, reversed(shares), strict=True):
        r += (a - rho * float(y @ r)) * s
    return r
