"""The floor: the matrix products of a step alone, into preallocated arrays."""

from collections.abc import Callable

import numpy as np

from xpnet.benchmarks.cases import Array, Case

PACKAGES = ("numpy",)


def prepare(case: Case) -> tuple[Callable[[], object], None]:
    """Forward, weight-gradient and δ products; nothing else, so no loss."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    calls: list[tuple[Callable[..., object], Array, Array]] = []
    for i, (n, m) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
        a, W, d = random(case.batch, n), random(n, m), random(case.batch, m)
        calls.append((a.dot, W, np.empty((case.batch, m), np.float32)))
        calls.append((a.T.dot, d, np.empty((n, m), np.float32)))
        if i:
            calls.append((d.dot, W.T, np.empty((case.batch, n), np.float32)))

    def step() -> None:
        for product, right, out in calls:
            product(right, out)

    return step, None
