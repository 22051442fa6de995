"""From settings to a network, its loss and its update rule, for every command."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.common import choose
from xpnet.data import Dataset
from xpnet.layers import (
    Dense,
    Dropout,
    Layer,
    Loss,
    Sequential,
    SoftmaxCrossEntropy,
    get_loss,
)
from xpnet.optim import OPTIMIZERS, Cosine, Optimizer
from xpnet.training.trainer import Trainer

LOSSES = {
    "classification": "softmax_cross_entropy",
    "multilabel": "binary_cross_entropy",
    "regression": "mean_squared_error",
}
RATE = 2e-3  # the default learning rate, but for these rules
RATES = {"sgd": 0.01, "adagrad": 0.02, "adadelta": 1.0, "rmsprop": 1e-3, "lion": 3e-4}


@dataclass(frozen=True)
class Settings:
    """What a user may set of a network and its update rule.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        dropout: rate of the Dropout layer after each hidden layer; None for no layer.
        optimizer: name of the update rule.
        learning_rate: at the start; None for the rule's entry in `RATES`.
        schedule: "constant" or "cosine".
        label_smoothing: for classification.
        l1, l2, weight_decay, clip_norm: options of every rule.
        momentum, nesterov: options of some rules. None leaves a rule's own default.
    """

    hidden: tuple[int, ...] = (64,)
    activation: str = "relu"
    dropout: float | None = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "constant"
    label_smoothing: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float | None = None
    clip_norm: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None

    def model(self, data: Dataset) -> Sequential:
        """The hidden layers and a linear layer of as many outputs as `data` needs."""
        layers: list[Layer] = []
        for width in self.hidden:
            layers.append(Dense(width, activation=self.activation))
            if self.dropout is not None:
                layers.append(Dropout(self.dropout))
        return Sequential([*layers, Dense(outputs(data))])

    def loss(self, data: Dataset) -> Loss:
        """The loss of the data's task."""
        if data.task == "classification":
            return SoftmaxCrossEntropy(label_smoothing=self.label_smoothing)
        return get_loss(LOSSES[str(data.task)])

    def rule(self, steps: int) -> Optimizer:
        """The update rule of a training of `steps` steps.

        Raises:
            ValueError: an unknown rule or schedule, a value that the rule refuses.
            TypeError: an option that the rule does not have.
        """
        kind: Any = choose(self.optimizer, OPTIMIZERS, "optimizer")
        rate: Any = self.learning_rate
        if rate is None:
            rate = RATES.get(self.optimizer, RATE)
        choose(self.schedule, {"constant": None, "cosine": None}, "schedule")
        if self.schedule == "cosine":
            rate = Cosine(rate, steps)
        names = ("l1", "l2", "weight_decay", "clip_norm", "momentum", "nesterov")
        options = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in options.items() if value is not None}
        rule: Optimizer = kind(rate, **given)
        return rule

    def trainer(self, data: Dataset, steps: int, **options: Any) -> Trainer:
        """The network for `data` with its loss and its rule.

        Args:
            data: gives the task and the number of outputs.
            steps: of the whole training.
            options: of `Trainer`.
        """
        return Trainer(self.model(data), self.loss(data), self.rule(steps), **options)


def outputs(data: Dataset) -> int:
    """How many outputs a network for `data` has."""
    return len(data.classes) if data.classes else int(np.asarray(data.y).shape[1])


def widths(text: str) -> tuple[int, ...]:
    """The widths of hidden layers: (128, 64) for "128,64", () for "none", "" or "0".

    Raises:
        ValueError: other text.
    """
    if text.strip().lower() in ("", "none", "0"):
        return ()
    return tuple(int(width) for width in text.split(","))
