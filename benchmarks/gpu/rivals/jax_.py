"""JAX's step on a GPU: one jit, and a scan over several steps. Strict float32.

JAX has no events: the device's time runs until the results are ready.
"""

from collections.abc import Callable
from typing import Any

import jax

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.clock import HostClock
from xpnet.benchmarks.gpu.rivals import TOGETHER, Subject
from xpnet.benchmarks.rivals.jax_ import parts

PACKAGES = ("jax", "jaxlib")


def prepare(case: Case, way: str, device: str = "gpu") -> Subject:
    """The case's network; `way` is "jit" or "scan".

    Raises:
        RuntimeError: the installed JAX does not support the GPU.
    """
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_default_device", jax.devices(device)[0])
    update, state, x, y, loss = parts(case)
    steps = TOGETHER if way == "scan" else 1
    compiled = jax.jit(_scan(update) if way == "scan" else update, donate_argnums=0)
    holder = [state]

    def work() -> None:
        holder[0], _ = compiled(holder[0], x, y)

    clock = HostClock(lambda: jax.block_until_ready(holder[0]))
    return Subject(work, lambda: loss(holder[0]), clock, steps, facts={"clock": "host"})


def _scan(update: Callable[..., Any]) -> Callable[..., Any]:
    """TOGETHER updates in one program, their losses in one array."""

    def several(state: Any, x: Any, y: Any) -> Any:
        def once(state: Any, _: Any) -> Any:
            return update(state, x, y)

        return jax.lax.scan(once, state, None, length=TOGETHER)

    return several
