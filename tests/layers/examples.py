"""Small networks for the tests, one for each layer of the table."""

from itertools import count

import numpy as np

from xpnet import Activation, Dense
from xpnet.backend import get_backend
from xpnet.layers import LAYERS, Layer, Loss, Sequential

BATCH, OUTPUTS = 6, 3
MARGIN = 2e-3  # how far from 0 every z must be, where an activation may have its kink


def layer_of(kind: str, activation: str, bias: bool) -> Layer:
    """A layer of the table, with these as far as it takes them."""
    own = {"Dense": (4, activation, bias), "Activation": (activation,)}
    return LAYERS[kind](*own.get(kind, ()))


def network(kind: str, activation: str = "tanh", bias: bool = True) -> Sequential:
    """A built network with the layer `kind` in it, for samples of its shape."""
    layer = layer_of(kind, activation, bias)
    last = [Dense(4, activation, bias), Dense(OUTPUTS, bias=bias)]
    if kind == "Flatten":
        return Sequential([layer, *last]).build((2, 3))
    return Sequential([Dense(5, "tanh", bias), layer, *last]).build(4)


def allocated(
    model: Sequential, seed: int = 0, lead: tuple[int, ...] = ()
) -> Sequential:
    """A copy of `model` with float64 weights; member i is drawn from seed + i."""
    fresh = model.copy()
    seeds = tuple(seed + i for i in range(int(np.prod(lead, dtype=int))))
    fresh.allocate(get_backend("cpu"), np.dtype("float64"), seeds, lead)
    return fresh


def inputs(model: Sequential, seed: int, lead: tuple[int, ...] = ()) -> np.ndarray:
    """Samples (*lead, batch, *sample)."""
    return rng(seed).standard_normal((*lead, BATCH, *model.sample_shape))


def rng(*key: int) -> np.random.Generator:
    """A generator of its own for `key`."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((77, *key))))


def targets(loss: Loss, z: np.ndarray, seed: int) -> np.ndarray:
    """Rows of targets for outputs z: values at a distance from every kink of a loss."""
    draw = rng(seed, 1)
    if loss.targets == "values":  # |z - t| in (0.1, 0.9) or (1.1, 1.9)
        size = draw.uniform(0.1, 0.9, z.shape) + draw.integers(0, 2, z.shape)
        return z + size * draw.choice([-1.0, 1.0], z.shape)
    t = draw.uniform(0.05, 0.95, z.shape)
    return t if loss.targets == "binary" else t / t.sum(axis=-1, keepdims=True)


def away_from_kinks(
    model: Sequential, lead: tuple[int, ...] = (), start: int = 0
) -> tuple[int, np.ndarray, np.ndarray]:
    """(seed, x, outputs) of the first draw in which no z is within MARGIN of 0."""
    for seed in count(start):
        x, net = inputs(model, seed, lead), allocated(model, seed, lead)
        z = net.forward(x, training=True)
        if all(abs(part.z).min() > MARGIN for part in activations(net)):
            return seed, x, z
    raise AssertionError("unreachable")


def activations(model: Sequential) -> list[Activation]:
    """Every activation in `model` that is not the identity."""
    found = [getattr(layer, "f", layer) for layer in model.layers]
    return [f for f in found if isinstance(f, Activation) and f.activation]
