"""How parameters move: update rules, learning rates, clipping, penalties, averages."""

from xpnet.optim.average import WeightAverage
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.rules import OPTIMIZERS, SGD, Adam, AdamW, get_optimizer
from xpnet.optim.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    ExponentialDecay,
    Schedule,
    StepDecay,
    WarmUp,
    get_schedule,
    schedule_config,
    schedule_from,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "Optimizer",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "WeightAverage",
    "get_optimizer",
    "get_schedule",
    "schedule_config",
    "schedule_from",
]
