"""What every rival provides: a step to time, and its loss to check."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xpnet.benchmarks.gpu.clock import Clock
from xpnet.benchmarks.step import CHECKED_STEPS

TOGETHER = 20  # steps per graph or scan, if there are several


@dataclass
class Subject:
    """A network on the device.

    Attributes:
        work: enqueues `steps` updates without waiting.
        steps: updates per piece of work.
        loss: of the batch at the present weights.
        clock: measures the device's time.
        check: takes exactly CHECKED_STEPS updates; None: `work`, repeated, does.
        facts: further entries of the record.
    """

    work: Callable[[], object]
    loss: Callable[[], float]
    clock: Clock
    steps: int = 1
    check: Callable[[], object] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def take_checked_steps(self) -> None:
        """Take the first CHECKED_STEPS updates."""
        if self.check is not None:
            self.check()
            return
        for _ in range(CHECKED_STEPS // self.steps):
            self.work()
