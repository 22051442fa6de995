"""xpnet as a user calls it: `trainer.step(x, y)`, checks and copies included; `fit`."""

from collections.abc import Callable
from functools import partial

import xpnet as xn
from xpnet.benchmarks.cases import Case, Data, Learner, Task

PACKAGES = ("numpy", "ziglang")
Prepared = tuple[Callable[[], object], Callable[[], float], Callable[[], str]]


def prepare(case: Case, jit: bool | None = None) -> Prepared:
    """A Trainer with the case's weights."""
    from xpnet.benchmarks.subjects import trainer  # a cold start does not need it

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


prepare_without_jit = partial(prepare, jit=False)  # its steps are NumPy calls


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of a Trainer."""
    hidden = xn.Dense(task.sizes[1], activation=task.activation)
    trainer = xn.Trainer(
        xn.Sequential([hidden, xn.Dense(task.sizes[2])]),
        "softmax_cross_entropy",
        xn.Adam(task.rate),
        device="cpu",
        seed=seed,
    )

    def fit(epochs: int) -> None:
        if task.batch >= len(data.x):
            for _ in range(epochs):
                trainer.step(data.x, data.y)
            return
        trainer.fit(data.x, data.y, epochs, task.batch, verbose=False)

    return fit, trainer.predict_classes
