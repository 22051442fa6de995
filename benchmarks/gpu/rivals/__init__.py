"""The ways to take a step on a GPU; each module has `prepare(case, way) -> Subject`.

Each rival runs in its own process, in strict float32, on the same batch and from the
same weights. `RIVALS` gives its module and its way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xpnet.benchmarks.gpu.clock import Clock
from xpnet.benchmarks.step import CHECKED_STEPS

RIVALS = {
    "xpnet, K steps a graph": ("xpnet_", "ksteps"),
    "xpnet, a graph a step": ("xpnet_", "graph"),
    "xpnet, own kernels": ("xpnet_", "kernels"),
    "xpnet, CuPy's calls": ("xpnet_", "calls"),
    "PyTorch, CUDA graph": ("torch_", "graph"),
    "PyTorch, compiled": ("torch_", "compiled"),
    "PyTorch, eager": ("torch_", "eager"),
    "JAX, K steps a scan": ("jax_", "scan"),
    "JAX, jit": ("jax_", "jit"),
}
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
