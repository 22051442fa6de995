"""Estimators search a grid: scikit-learn's GridSearchCV and xpnet's GridSearch."""

import os
import warnings
from typing import Any

import sklearn.model_selection
import sklearn.neural_network

import xpnet.sklearn
from xpnet.benchmarks.cases import Digits, Study

JOBS = 2


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting, by scikit-learn in two processes."""
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that it starts
    classifier = sklearn.neural_network.MLPClassifier
    found = sklearn.model_selection.GridSearchCV
    return _searched(classifier, found, study, data, seed, n_jobs=JOBS)


def search_xpnet(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting, by `xpnet.sklearn`."""
    own = xpnet.sklearn
    return _searched(own.MLPClassifier, own.GridSearch, study, data, seed)


def _searched(
    classifier: Any, search: Any, study: Study, data: Digits, seed: int, **options: Any
) -> list[float]:
    """Mean validation accuracy of each setting.

    scikit-learn divides its alpha by the number of samples of a batch.

    Args:
        classifier, search: classes with the arguments of scikit-learn's MLPClassifier
            and GridSearchCV.
        options: of the search.
    """
    warnings.filterwarnings("ignore")
    net = classifier(
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
    found = search(net, grid, cv=data.folds, refit=False, **options)
    found.fit(data.x, data.y)
    return [float(mean) for mean in found.cv_results_["mean_test_score"]]
