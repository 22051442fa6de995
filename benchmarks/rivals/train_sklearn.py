"""scikit-learn's MLPClassifier trains a network (with one output for two classes)."""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from xpnet.benchmarks.tasks import Data, Learner, Task


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of the estimator, without its penalty and early end."""
    warnings.filterwarnings("ignore")
    net = MLPClassifier(
        (task.sizes[1],),
        activation=task.activation,
        alpha=0.0,
        batch_size=min(task.batch, len(data.x)),
        learning_rate_init=task.rate,
        max_iter=task.epochs,
        tol=0.0,
        n_iter_no_change=task.epochs + 1,
        random_state=seed,
    )
    classes = np.unique(data.y)

    def fit(epochs: int) -> None:
        if epochs == task.epochs:
            net.fit(data.x, data.y)
            return
        for _ in range(epochs):
            net.partial_fit(data.x, data.y, classes=classes)

    return fit, net.predict
