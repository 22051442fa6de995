"""The closed tables of layers and losses, which a saved model may name."""

import re

from xpnet.common import choose
from xpnet.layers import kinds
from xpnet.layers.layer import Layer
from xpnet.layers.losses import Loss

_KINDS = [kind for kind in vars(kinds).values() if isinstance(kind, type)]
LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in _KINDS if issubclass(kind, Layer)
}
# MeanSquaredError is "mean_squared_error".
LOSSES: dict[str, type[Loss]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in _KINDS
    if issubclass(kind, Loss)
}


def get_loss(loss: str | Loss) -> Loss:
    """The loss of that name with its defaults; a `Loss` as it is."""
    return loss if isinstance(loss, Loss) else choose(loss, LOSSES, "loss")()
