"""The layers and losses of xpnet, a line for each.

Public names, names of losses, files and tests go by this list: see `table`.
"""

# ruff: noqa: I001  # in the order in which messages and tests name them
from xpnet.layers.activations import Activation as Activation
from xpnet.layers.normalization import BatchNorm as BatchNorm
from xpnet.layers.dense import Dense as Dense
from xpnet.layers.noise import Dropout as Dropout
from xpnet.layers.flatten import Flatten as Flatten
from xpnet.layers.noise import GaussianNoise as GaussianNoise
from xpnet.layers.normalization import LayerNorm as LayerNorm

from xpnet.layers.losses import MeanSquaredError as MeanSquaredError
from xpnet.layers.losses import MeanAbsoluteError as MeanAbsoluteError
from xpnet.layers.losses import Huber as Huber
from xpnet.layers.losses import BinaryCrossEntropy as BinaryCrossEntropy
from xpnet.layers.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
