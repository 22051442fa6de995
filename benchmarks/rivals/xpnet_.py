"""xpnet as a user calls it: `trainer.step(x, y)`, checks and copies included."""

from collections.abc import Callable

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.subjects import trainer

PACKAGES = ("numpy", "ziglang")
Prepared = tuple[Callable[[], object], Callable[[], float], Callable[[], str]]


def prepare(case: Case, jit: bool | None = None) -> Prepared:
    """A Trainer with the case's weights."""
    x, y = case.data()
    subject = trainer(case, jit=jit)

    def state() -> str:
        step = subject.last_step
        if step is None or step.replay is None or not step.replay.compiled:
            return "loops not compiled"
        return "loops compiled" if step.replay.program.native is None else "in C"

    def loss() -> float:
        return subject.evaluate(x, y)["loss"]

    return lambda: subject.step(x, y), loss, state
