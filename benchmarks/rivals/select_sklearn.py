"""scikit-learn searches a grid: GridSearchCV over MLPClassifier, two processes."""

import os
import warnings

import sklearn
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from xpnet.benchmarks.rivals.grid import searched
from xpnet.benchmarks.study import Digits, Study

JOBS = 2


def version() -> str:
    """Of the library."""
    return str(sklearn.__version__)


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting."""
    warnings.filterwarnings("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that it starts
    return searched(MLPClassifier, GridSearchCV, study, data, seed, n_jobs=JOBS)
