"""The average of the weights during a training."""

from dataclasses import dataclass

from xpnet.backend import Array
from xpnet.common import check_number, check_whole, explains_arguments


@explains_arguments
@dataclass(frozen=True)
class WeightAverage:
    """θ̄ ← θ̄ + w (θ - θ̄) after each update, w = max(1 - decay, 1/k) at the k-th.

    With decay < 1 it is the exponential moving average, θ̄ ← decay θ̄ + (1 - decay) θ,
    once k > 1 / (1 - decay); until then the mean of all θ so far, which needs no
    correction for its start. With decay = 1 it is the mean of every θ after step
    `start`: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992), as tail averaging.
    The running statistics of a BatchNorm are averaged in the same way (Izmailov et al.
    (2018), arXiv:1803.05407, compute them again from the data).

    Args:
        decay: share of θ̄ that an update keeps, in [0, 1].
        start: number of updates to skip; until then θ̄ = θ.

    Raises:
        ValueError: decay outside [0, 1], start below 0.
    """

    decay: float = 0.999
    start: int = 0

    def __post_init__(self) -> None:
        kind = "WeightAverage"
        decay = check_number(
            kind, self.decay, "0 <= decay <= 1", lambda d: 0.0 <= d <= 1.0
        )
        object.__setattr__(self, "decay", decay)
        object.__setattr__(self, "start", check_whole(kind, "start", self.start, 0))

    def weight(self, t: int) -> float:
        """w, the weight of the new θ, at update t = 1, 2, ..."""
        return max(1.0 - self.decay, 1.0 / max(t - self.start, 1))

    @staticmethod
    def update(average: Array, values: Array, weight: Array) -> None:
        """θ̄ ← θ̄ + w (θ - θ̄) in place, for arrays (..., n) and w (..., 1)."""
        average[...] = average + weight * (values - average)
