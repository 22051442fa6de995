"""Update rules, learning-rate schedules, weight averages and minimisers."""

import typing

from xpnet.common import exports
from xpnet.optim.average import WeightAverage as WeightAverage
from xpnet.optim.descend import descend as descend
from xpnet.optim.genetic import GeneticAlgorithm as GeneticAlgorithm
from xpnet.optim.kinds import *
from xpnet.optim.lbfgs import LBFGS as LBFGS
from xpnet.optim.minimizer import Iterate as Iterate
from xpnet.optim.minimizer import Minimizer as Minimizer
from xpnet.optim.minimizer import Minimum as Minimum
from xpnet.optim.minimizer import Objective as Objective
from xpnet.optim.minimizer import StartError as StartError
from xpnet.optim.optimizer import Optimizer as Optimizer
from xpnet.optim.schedules import SCHEDULES as SCHEDULES
from xpnet.optim.schedules import Constant as Constant
from xpnet.optim.schedules import Cosine as Cosine
from xpnet.optim.schedules import ExponentialDecay as ExponentialDecay
from xpnet.optim.schedules import Schedule as Schedule
from xpnet.optim.schedules import StepDecay as StepDecay
from xpnet.optim.schedules import WarmUp as WarmUp
from xpnet.optim.schedules import get_schedule as get_schedule
from xpnet.optim.schedules import rate_at as rate_at
from xpnet.optim.schedules import schedule_config as schedule_config
from xpnet.optim.schedules import schedule_from as schedule_from
from xpnet.optim.search import GridSearch as GridSearch
from xpnet.optim.search import RandomSearch as RandomSearch
from xpnet.optim.table import MINIMIZERS as MINIMIZERS
from xpnet.optim.table import OPTIMIZERS as OPTIMIZERS
from xpnet.optim.table import VARIANTS as VARIANTS
from xpnet.optim.table import get_minimizer as get_minimizer
from xpnet.optim.table import get_optimizer as get_optimizer
from xpnet.optim.transforms import L1 as L1
from xpnet.optim.transforms import L2 as L2
from xpnet.optim.transforms import TRANSFORMS as TRANSFORMS
from xpnet.optim.transforms import ClipNorm as ClipNorm
from xpnet.optim.transforms import ClipValue as ClipValue
from xpnet.optim.transforms import GradientNoise as GradientNoise
from xpnet.optim.transforms import Transform as Transform
from xpnet.optim.transforms import WeightDecay as WeightDecay

if not typing.TYPE_CHECKING:  # which takes the imports as they stand
    __all__ = exports.public_names(vars())
