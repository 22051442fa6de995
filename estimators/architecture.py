"""The layers of an estimator, and their initial weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnet.common import check_flag, check_whole
from xpnet.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    Sequential,
)
from xpnet.training.trainer import Trainer

SYNONYMS = {"logistic": "sigmoid"}


def hidden_sizes(sizes: Any) -> list[int]:
    """The widths of the hidden layers from one number or several.

    Raises:
        ValueError: a width that is not a whole number above 0.
    """
    listed = isinstance(sizes, Iterable) and not isinstance(sizes, str | bytes)
    several = list(sizes) if listed else [sizes]
    return [
        check_whole("hidden_layer_sizes", f"width {i}", n, 1)
        for i, n in enumerate(several)
    ]


def each(value: Any, name: str, layers: int) -> list[Any]:
    """One value per hidden layer: `value` for all, or a list with one each.

    Raises:
        ValueError: the list has not one value per layer.
    """
    if not isinstance(value, list | tuple):
        return [value] * layers
    if len(value) != layers:
        raise ValueError(
            f"{name}: expected one value or {layers}, one per hidden layer; got "
            f"{len(value)}"
        )
    return list(value)


def architecture(
    sizes: Any, activation: Any, dropout: Any, batch_norm: Any, outputs: int
) -> Sequential:
    """Dense, BatchNorm, activation, Dropout per hidden layer, and a Dense of logits.

    Args:
        sizes: widths of the hidden layers.
        activation: name, function or `ActivationFunction`, or one per hidden layer.
        dropout: rate, or one per hidden layer.
        batch_norm: True or False, or one per hidden layer.
        outputs: width of the last layer.

    Raises:
        ValueError, TypeError: an unknown name or an unfit value.
    """
    widths = hidden_sizes(sizes)
    n = len(widths)
    rows = zip(
        widths,
        each(activation, "activation", n),
        each(dropout, "dropout", n),
        each(batch_norm, "batch_norm", n),
        strict=True,
    )
    layers: list[Layer] = []
    for width, function, rate, normed in rows:
        layers += _hidden(width, function, check_flag("", "batch_norm", normed))
        if rate is not None and rate != 0.0:
            layers.append(Dropout(rate))
    return Sequential([*layers, Dense(outputs)])


def _hidden(width: int, function: Any, normed: bool) -> list[Layer]:
    if function is None:
        raise TypeError("activation: expected a name or a function; 'identity' is none")
    if isinstance(function, str):
        function = SYNONYMS.get(function, function)
    if not normed:
        return [Dense(width, function)]
    return [Dense(width), BatchNorm(), Activation(function)]


def draw(trainer: Trainer, activation: Any, rng: np.random.RandomState) -> None:
    """Initialise the weights of a built trainer as scikit-learn does.

        W, b ~ U(-r, r),  r = √(6 / (n_in + n_out)),  √(2 / ...) with "logistic"

    They are drawn in the same order, so the same `random_state` gives the same numbers.
    Glorot and Bengio, AISTATS 2010.
    """
    buffers, model = trainer.model.buffers, trainer.model
    assert buffers is not None
    slots, size = model.slots(), 6.0 if activation != "logistic" else 2.0
    for i, layer in enumerate(model.layers):
        if isinstance(layer, Dense):
            n_in, n_out = slots[f"{i}.W"].parameter.shape
            r = np.sqrt(size / (n_in + n_out))
            buffers.write(slots[f"{i}.W"], rng.uniform(-r, r, (n_in, n_out)))
            buffers.write(slots[f"{i}.b"], rng.uniform(-r, r, (1, n_out)))
