"""What every rival gives: a step to be timed, and how to see that it is right."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xpnet.benchmarks.gpu.clock import Clock

CHECKED = 20  # steps after which losses are compared
TOGETHER = 20  # steps a graph or a scan, where there are several


@dataclass
class Subject:
    """A network on the device.

    Attributes:
        work: enqueues `steps` updates and waits for nothing.
        steps: updates a piece of work.
        loss: of the batch at the weights of now.
        clock: that its device is timed with.
        check: takes exactly CHECKED updates; None: `work` as often as it takes.
        facts: what else the record should say.
    """

    work: Callable[[], object]
    loss: Callable[[], float]
    clock: Clock
    steps: int = 1
    check: Callable[[], object] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def take_checked_steps(self) -> None:
        """The first CHECKED updates."""
        if self.check is not None:
            self.check()
            return
        for _ in range(CHECKED // self.steps):
            self.work()
