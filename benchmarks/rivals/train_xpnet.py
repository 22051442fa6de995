"""xpnet trains a network."""

import xpnet as xn
from xpnet.benchmarks.tasks import Data, Learner, Task


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
