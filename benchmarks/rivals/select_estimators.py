"""xpnet searches as scikit-learn does: its GridSearch over its MLPClassifier."""

import warnings

import xpnet as xn
from xpnet.benchmarks.rivals.grid import searched
from xpnet.benchmarks.study import Digits, Study
from xpnet.sklearn import GridSearch, MLPClassifier


def version() -> str:
    """Of the library."""
    return xn.__version__


def search(study: Study, data: Digits, seed: int) -> list[float]:
    """Mean validation accuracy of each setting."""
    warnings.filterwarnings("ignore")
    return searched(MLPClassifier, GridSearch, study, data, seed)
