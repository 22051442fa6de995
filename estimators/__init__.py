"""Estimators for scikit-learn: a Sequential and its Trainer behind fit and predict."""

from xpnet.estimators.classifier import MLPClassifier
from xpnet.estimators.regressor import MLPRegressor
from xpnet.estimators.search import GridSearch

__all__ = ["GridSearch", "MLPClassifier", "MLPRegressor"]
