"""xpnet, one network after the other: what a loop over `Trainer` takes."""

import numpy as np

from xpnet.benchmarks.rivals.select_xpnet import network, version
from xpnet.benchmarks.study import Digits, Study

__all__ = ["search", "version"]


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting."""
    found = []
    for settings in study.settings:
        scores = []
        for train, test in data.folds:
            trainer = network(study, **settings, seed=seed)
            x, y = data.x[train], data.y[train]
            trainer.fit(x, y, study.epochs, study.batch, verbose=False)
            scores.append(trainer.evaluate(data.x[test], data.y[test])["accuracy"])
        found.append(float(np.mean(scores)))
    return found
