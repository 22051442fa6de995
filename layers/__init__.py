"""The equations: layers, activations, initialisers, losses, Sequential."""

from xpnet.layers.activations import (
    ACTIVATIONS,
    Activation,
    ActivationFunction,
    get_activation,
)
from xpnet.layers.dense import Dense
from xpnet.layers.flatten import Flatten
from xpnet.layers.initializers import INITIALIZERS, get_initializer
from xpnet.layers.layer import Layer
from xpnet.layers.losses import (
    LOSSES,
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    get_loss,
)
from xpnet.layers.noise import Dropout, GaussianNoise
from xpnet.layers.normalization import BatchNorm, LayerNorm
from xpnet.layers.parameters import Buffers, Slot, Views
from xpnet.layers.sequential import Sequential
from xpnet.layers.table import LAYERS

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "LAYERS",
    "LOSSES",
    "Activation",
    "ActivationFunction",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Buffers",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "Huber",
    "Layer",
    "LayerNorm",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Sequential",
    "Slot",
    "SoftmaxCrossEntropy",
    "Views",
    "get_activation",
    "get_initializer",
    "get_loss",
]
