# The list of public names, for type checkers and for xpnet/__init__.py, which imports a
# name when it is first used. A line per name, from MODULE import NAME as NAME, or
# all names of a list of such lines.

from xpnet import backend as backend
from xpnet import data as data
from xpnet import diagnosis as diagnosis
from xpnet import layers as layers
from xpnet import optim as optim
from xpnet import selection as selection
from xpnet import stack as stack
from xpnet import trace as trace
from xpnet import training as training
from xpnet.backend import Backend as Backend
from xpnet.backend import DeviceError as DeviceError
from xpnet.backend import get_backend as get_backend
from xpnet.data import Dataset as Dataset
from xpnet.data import MinMaxScaler as MinMaxScaler
from xpnet.data import Standardizer as Standardizer
from xpnet.data import datasets as datasets
from xpnet.data import load_csv as load_csv
from xpnet.data import load_data as load_data
from xpnet.data import load_idx as load_idx
from xpnet.data import load_mnist as load_mnist
from xpnet.data import load_npz as load_npz
from xpnet.data import split as split
from xpnet.data import split_indices as split_indices
from xpnet.diagnosis import check_gradients as check_gradients
from xpnet.layers import ActivationFunction as ActivationFunction
from xpnet.layers import Layer as Layer
from xpnet.layers import Loss as Loss
from xpnet.layers import Sequential as Sequential
from xpnet.layers.kinds import *
from xpnet.optim import L1 as L1
from xpnet.optim import L2 as L2
from xpnet.optim import LBFGS as LBFGS
from xpnet.optim import ClipNorm as ClipNorm
from xpnet.optim import ClipValue as ClipValue
from xpnet.optim import Constant as Constant
from xpnet.optim import Cosine as Cosine
from xpnet.optim import ExponentialDecay as ExponentialDecay
from xpnet.optim import GradientNoise as GradientNoise
from xpnet.optim import Optimizer as Optimizer
from xpnet.optim import StepDecay as StepDecay
from xpnet.optim import Transform as Transform
from xpnet.optim import WarmUp as WarmUp
from xpnet.optim import WeightAverage as WeightAverage
from xpnet.optim import WeightDecay as WeightDecay
from xpnet.optim.kinds import *
from xpnet.selection import Ensemble as Ensemble
from xpnet.selection import LearningCurve as LearningCurve
from xpnet.selection import LogUniform as LogUniform
from xpnet.selection import Reliability as Reliability
from xpnet.selection import Temperature as Temperature
from xpnet.selection import Uniform as Uniform
from xpnet.selection import cross_validate as cross_validate
from xpnet.selection import expected_calibration_error as expected_calibration_error
from xpnet.selection import grid_search as grid_search
from xpnet.selection import halving_search as halving_search
from xpnet.selection import k_folds as k_folds
from xpnet.selection import learning_curve as learning_curve
from xpnet.selection import random_search as random_search
from xpnet.selection import reliability as reliability
from xpnet.stack import Stack as Stack
from xpnet.trace import TraceError as TraceError
from xpnet.trace import derivative as derivative
from xpnet.training import Callback as Callback
from xpnet.training import Checkpoint as Checkpoint
from xpnet.training import DivergenceError as DivergenceError
from xpnet.training import EarlyStopping as EarlyStopping
from xpnet.training import History as History
from xpnet.training import Metric as Metric
from xpnet.training import ReduceOnPlateau as ReduceOnPlateau
from xpnet.training import Trainer as Trainer
from xpnet.training import confusion_matrix as confusion_matrix
from xpnet.training import minimize as minimize

__version__: str
