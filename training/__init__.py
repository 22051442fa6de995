"""The Trainer and what goes with it: metrics, callbacks, history, files."""

from xpnet.training.callbacks import Callback, EarlyStopping, ReduceOnPlateau
from xpnet.training.checkpoint_callback import Checkpoint
from xpnet.training.divergence import DivergenceError
from xpnet.training.history import History
from xpnet.training.metric import Metric
from xpnet.training.metrics import METRICS, confusion_matrix
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
