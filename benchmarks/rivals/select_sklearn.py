"""scikit-learn searches a grid: GridSearchCV over MLPClassifier, two processes."""

import os
import warnings

import sklearn
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from xpnet.benchmarks.study import Digits, Study

JOBS = 2


def version() -> str:
    """Of the library."""
    return str(sklearn.__version__)


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting.

    Its alpha is divided by the number of samples of a batch.
    """
    warnings.filterwarnings("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that it starts
    net = MLPClassifier(
        (study.hidden,),
        batch_size=study.batch,
        max_iter=study.epochs,
        tol=0.0,
        n_iter_no_change=study.epochs + 1,
        random_state=seed,
    )
    grid = {
        "learning_rate_init": list(study.rates),
        "alpha": [l2 * study.batch for l2 in study.penalties],
    }
    found = GridSearchCV(net, grid, cv=data.folds, n_jobs=JOBS, refit=False)
    found.fit(data.x, data.y)
    means = dict(
        zip(
            [tuple(p.values()) for p in map(_ordered, found.cv_results_["params"])],
            found.cv_results_["mean_test_score"].tolist(),
            strict=True,
        )
    )
    return [
        means[settings["learning_rate"], settings["l2"] * study.batch]
        for settings in study.settings
    ]


def _ordered(settings: dict[str, float]) -> dict[str, float]:
    return {name: settings[name] for name in ("learning_rate_init", "alpha")}
