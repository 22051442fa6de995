"""How long a race warms up and times every rival."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """The same for all rivals.

    Attributes:
        warm_up: seconds that a rival runs before it is timed.
        rounds: how often it is timed.
        seconds: of one rival in one round.
    """

    warm_up: float = 3.0
    rounds: int = 9
    seconds: float = 0.3

    def __post_init__(self) -> None:
        if not 0.0 <= self.warm_up < float("inf"):
            raise ValueError(f"--warm-up: expected seconds >= 0, got {self.warm_up}")
        if self.rounds < 1:
            raise ValueError(f"--rounds: expected at least 1, got {self.rounds}")
        if not 0.0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds: expected seconds > 0, got {self.seconds}")

    def estimate(self, rivals: int, cases: int) -> float:
        """Seconds that warming up and timing take, at least."""
        return rivals * cases * (self.warm_up + self.rounds * self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
