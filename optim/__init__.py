"""How parameters move: update rules, learning rates, clipping, penalties."""

from xpnet.optim.adam_variants import Adamax, Nadam, RAdam
from xpnet.optim.adaptive import Adadelta, Adagrad, RMSprop
from xpnet.optim.lion import Lion
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.rules import SGD, Adam, AdamW, AMSGrad
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
from xpnet.optim.table import OPTIMIZERS, get_optimizer

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "Lion",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "get_optimizer",
    "get_schedule",
    "schedule_config",
    "schedule_from",
]
