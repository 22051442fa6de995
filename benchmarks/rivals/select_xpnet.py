"""xpnet searches a grid: as one stack, and with a loop over `Trainer`."""

import numpy as np

import xpnet as xn
from xpnet.benchmarks.cases import Digits, Study
from xpnet.selection import grid_search


def network(study: Study, learning_rate: float, l2: float, seed: int) -> xn.Trainer:
    """One of the networks."""
    layers = [xn.Dense(study.hidden, activation="relu"), xn.Dense(10)]
    return xn.Trainer(
        xn.Sequential(layers),
        "softmax_cross_entropy",
        xn.Adam(learning_rate, l2=l2),
        device="cpu",
        seed=seed,
    )


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting; all networks are one stack."""

    def make(learning_rate: float, l2: float) -> xn.Trainer:
        return network(study, learning_rate, l2, seed)

    results = grid_search(
        make,
        data.x,
        data.y,
        {"learning_rate": study.rates, "l2": study.penalties},
        folds=data.folds,
        epochs=study.epochs,
        batch_size=study.batch,
        verbose=False,
    )
    return [trial.mean("accuracy") for trial in results.trials]


def search_in_a_loop(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting; one network after the other."""
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
