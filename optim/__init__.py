"""Update rules, learning-rate schedules, weight averages and minimisers."""

from xpnet.optim.adam_variants import Adamax, Nadam, RAdam
from xpnet.optim.adaptive import Adadelta, Adagrad, RMSprop
from xpnet.optim.average import WeightAverage
from xpnet.optim.descend import descend
from xpnet.optim.genetic import GeneticAlgorithm
from xpnet.optim.lbfgs import LBFGS
from xpnet.optim.lion import Lion
from xpnet.optim.minimizer import (
    Iterate,
    Minimizer,
    Minimum,
    Objective,
    StartError,
)
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
    rate_at,
    schedule_config,
    schedule_from,
)
from xpnet.optim.search import GridSearch, RandomSearch
from xpnet.optim.table import (
    MINIMIZERS,
    OPTIMIZERS,
    VARIANTS,
    get_minimizer,
    get_optimizer,
)
from xpnet.optim.transforms import (
    L1,
    L2,
    TRANSFORMS,
    ClipNorm,
    ClipValue,
    GradientNoise,
    Transform,
    WeightDecay,
)

__all__ = [
    "L1",
    "L2",
    "LBFGS",
    "MINIMIZERS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "TRANSFORMS",
    "VARIANTS",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ClipNorm",
    "ClipValue",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "GeneticAlgorithm",
    "GradientNoise",
    "GridSearch",
    "Iterate",
    "Lion",
    "Minimizer",
    "Minimum",
    "Nadam",
    "Objective",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "RandomSearch",
    "Schedule",
    "StartError",
    "StepDecay",
    "Transform",
    "WarmUp",
    "WeightAverage",
    "WeightDecay",
    "descend",
    "get_minimizer",
    "get_optimizer",
    "get_schedule",
    "rate_at",
    "schedule_config",
    "schedule_from",
]
