"""scikit-learn's MLPClassifier, one `partial_fit` on the whole batch per step."""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier

from xpnet.benchmarks.cases import Case, Data, Learner, Task
from xpnet.benchmarks.rivals.numpy_ import eps_before_correction

PACKAGES = ("scikit-learn", "numpy")


def prepare(case: Case) -> tuple[Callable[[], object], Callable[[], float]]:
    """The estimator with the case's weights, no penalty, no shuffling."""
    warnings.filterwarnings("ignore")
    x, y = case.data()
    if case.sizes[-1] < 3:
        raise ValueError("it has one output for two classes, which is another network")
    net = MLPClassifier(
        case.sizes[1:-1],
        solver=case.optimizer,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=case.rate,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    classes = np.arange(case.sizes[-1])
    net.partial_fit(x, y, classes=classes)  # makes the arrays; its step is undone
    for i, (W, b) in enumerate(case.weights()):
        net.coefs_[i][...], net.intercepts_[i][...] = W, b
    rule = net._optimizer
    if case.optimizer == "adam":
        rule.t = 0
        rule.ms = [np.zeros_like(m) for m in rule.ms]
        rule.vs = [np.zeros_like(v) for v in rule.vs]

    def loss() -> float:
        p = net.predict_proba(x)[np.arange(len(y)), y]
        return float(-np.log(p).mean())

    def adam_step() -> None:
        rule.epsilon = eps_before_correction(rule.t + 1)
        net.partial_fit(x, y)

    if case.optimizer == "adam":
        return adam_step, loss
    return lambda: net.partial_fit(x, y), loss


def learner(task: Task, data: Data, seed: int) -> Learner:
    """(fit, predict) of the estimator, without its penalty and early end.

    For two classes it has one output.
    """
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
