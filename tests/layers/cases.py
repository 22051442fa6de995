"""The networks whose outputs and gradients are compared with another framework's."""

from dataclasses import dataclass

import numpy as np

import xpnet as xn
from tests.layers.examples import rng
from xpnet.layers import ACTIVATIONS, LOSSES, Loss, Sequential

N_IN, WIDTH, N_OUT, BATCH = 4, 5, 3, 6


@dataclass(frozen=True)
class Case:
    """Dense, a normalisation or none, an activation, Dense, a loss."""

    norm: str = "none"
    activation: str = "tanh"
    loss: str = "mean_squared_error"

    @property
    def function(self) -> Loss:
        """The loss."""
        smoothed = self.loss == "smoothed"
        return xn.SoftmaxCrossEntropy(0.1) if smoothed else LOSSES[self.loss]()


NORMS = {
    "none": lambda: xn.Activation(None),
    "BatchNorm": xn.BatchNorm,
    "LayerNorm": xn.LayerNorm,
}
CASES = {
    **{f"activation {name}": Case(activation=name) for name in ACTIVATIONS},
    **{f"loss {name}": Case(loss=name) for name in (*LOSSES, "smoothed")},
    **{f"norm {name}": Case(norm=name) for name in NORMS},
    "all": Case("BatchNorm", "gelu", "softmax_cross_entropy"),
}


def network(case: Case) -> Sequential:
    """The case's network, built."""
    middle = [NORMS[case.norm](), xn.Activation(case.activation)]
    return xn.Sequential([xn.Dense(WIDTH), *middle, xn.Dense(N_OUT)]).build(N_IN)


def parameters(case: Case) -> dict[str, np.ndarray]:
    """Fixed values for every parameter, by public name."""
    shapes = {
        "0.W": (N_IN, WIDTH),
        "0.b": (1, WIDTH),
        "3.W": (WIDTH, N_OUT),
        "3.b": (1, N_OUT),
    }
    if case.norm != "none":
        shapes |= {"1.gain": (1, WIDTH), "1.shift": (1, WIDTH)}
    draw = rng(40)
    return {name: draw.standard_normal(shape) for name, shape in shapes.items()}


def samples(case: Case) -> np.ndarray:
    """x (batch, n_in)."""
    return rng(41).standard_normal((BATCH, N_IN))


def targets(case: Case) -> np.ndarray:
    """y (batch, n_out), shares of each class for the cross-entropies."""
    y = rng(42).uniform(0.05, 0.95, (BATCH, N_OUT))
    classes = case.function.targets == "classes"
    return y / y.sum(axis=-1, keepdims=True) if classes else y
