"""The equations: layers, activations, initialisers, losses, Sequential."""

import typing

from xpnet.common import exports
from xpnet.layers.activations import ACTIVATIONS as ACTIVATIONS
from xpnet.layers.activations import ActivationFunction as ActivationFunction
from xpnet.layers.activations import get_activation as get_activation
from xpnet.layers.initializers import INITIALIZERS as INITIALIZERS
from xpnet.layers.initializers import get_initializer as get_initializer
from xpnet.layers.kinds import *
from xpnet.layers.layer import Layer as Layer
from xpnet.layers.losses import Loss as Loss
from xpnet.layers.parameters import Buffers as Buffers
from xpnet.layers.parameters import Slot as Slot
from xpnet.layers.parameters import Views as Views
from xpnet.layers.sequential import Sequential as Sequential
from xpnet.layers.table import LAYERS as LAYERS
from xpnet.layers.table import LOSSES as LOSSES
from xpnet.layers.table import get_loss as get_loss

if not typing.TYPE_CHECKING:  # which takes the imports as they stand
    __all__ = exports.public_names(vars())
