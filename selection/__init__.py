"""Model selection: cross-validation, searches, ensembles, calibration."""

from xpnet.selection.calibration import (
    Reliability,
    Temperature,
    expected_calibration_error,
    reliability,
)
from xpnet.selection.ensemble import Ensemble, Uncertainty
from xpnet.selection.folds import k_folds
from xpnet.selection.results import LearningCurve, Results, Trial
from xpnet.selection.search import (
    cross_validate,
    grid_search,
    halving_search,
    learning_curve,
    random_search,
)
from xpnet.selection.space import LogUniform, Uniform

__all__ = [
    "Ensemble",
    "LearningCurve",
    "LogUniform",
    "Reliability",
    "Results",
    "Temperature",
    "Trial",
    "Uncertainty",
    "Uniform",
    "cross_validate",
    "expected_calibration_error",
    "grid_search",
    "halving_search",
    "k_folds",
    "learning_curve",
    "random_search",
    "reliability",
]
