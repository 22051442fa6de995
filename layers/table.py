"""The closed table of layers that a saved model may name."""

from xpnet.layers.activations import Activation
from xpnet.layers.dense import Dense
from xpnet.layers.flatten import Flatten
from xpnet.layers.layer import Layer
from xpnet.layers.noise import Dropout, GaussianNoise
from xpnet.layers.normalization import BatchNorm, LayerNorm

LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Activation,
        BatchNorm,
        Dense,
        Dropout,
        Flatten,
        GaussianNoise,
        LayerNorm,
    )
}
