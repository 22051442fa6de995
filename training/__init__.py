"""The Trainer and what goes with it: metrics, callbacks, history, files."""

from xpnet.training.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ReduceOnPlateau,
)
from xpnet.training.divergence import DivergenceError
from xpnet.training.history import History
from xpnet.training.metrics import METRICS, Metric, confusion_matrix
from xpnet.training.minimize import minimize
from xpnet.training.trainer import Trainer

__all__ = [
    "METRICS",
    "Callback",
    "Checkpoint",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "Metric",
    "ReduceOnPlateau",
    "Trainer",
    "confusion_matrix",
    "minimize",
]
