"""The small networks whose every tensor is compared with NumPy's.

A row per layer, activation, loss and update rule. Sizes are odd, so that no block of
threads is full.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from xpnet.backend import Shape
from xpnet.layers import (
    ACTIVATIONS,
    LAYERS,
    LOSSES,
    Activation,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Layer,
    Loss,
    SoftmaxCrossEntropy,
)
from xpnet.optim import OPTIMIZERS, SGD, Adam, AdamW, Optimizer

BATCH, INPUTS, WIDTH, OUTPUTS = 37, 19, 45, 7


@dataclass(frozen=True)
class Case:
    """A network, its loss and its update rule.

    Attributes:
        name: "layer BatchNorm", "loss huber", ...
        layers: makes the layers before the last Dense.
        loss: the loss.
        rule: makes the update rule.
        sample: shape of a sample.
        labels: whether targets are labels; otherwise they are rows.
        weighted: whether samples have weights.
    """

    name: str
    layers: Callable[[], list[Layer]]
    loss: Loss
    rule: Callable[[], Optimizer] = Adam
    sample: Shape = (INPUTS,)
    labels: bool = False
    weighted: bool = False


def _after_dense(layer: Callable[[], Layer]) -> list[Layer]:
    return [Dense(WIDTH, activation="tanh"), layer(), Dense(WIDTH - 8, "relu")]


LAYER_ROWS: dict[str, Callable[[], list[Layer]]] = {
    **{name: partial(_after_dense, kind) for name, kind in LAYERS.items()},
    "Activation": partial(_after_dense, lambda: Activation("softmax")),
    "Dense": partial(_after_dense, lambda: Dense(WIDTH + 3, bias=False)),
    "Dropout": partial(_after_dense, lambda: Dropout(0.3)),
    "Flatten": lambda: [Flatten(), Dense(WIDTH, activation="relu")],
    "GaussianNoise": partial(_after_dense, lambda: GaussianNoise(0.2)),
}
LOSS_ROWS: dict[str, Loss] = {
    **{name: loss() for name, loss in LOSSES.items()},
    "softmax_cross_entropy, smoothed": SoftmaxCrossEntropy(0.1),
}
RULE_ROWS: dict[str, Callable[[], Optimizer]] = {
    **OPTIMIZERS,
    "sgd": partial(SGD, 0.05),
    "sgd, momentum": partial(SGD, 0.02, momentum=0.9),
    "sgd, nesterov": partial(SGD, 0.02, momentum=0.9, nesterov=True),
    "sgd, everything": partial(
        SGD, 0.03, momentum=0.8, l1=0.02, l2=0.05, weight_decay=0.1, clip_value=0.02,
        clip_norm=0.1,
    ),
    "adam": partial(Adam, 0.01),
    "adam, clip_norm": partial(Adam, 0.01, clip_norm=0.05),
    "adam, l1 and l2": partial(Adam, 0.01, l1=0.01, l2=0.1),
    "adamw": partial(AdamW, 0.01, weight_decay=0.2),
}  # fmt: skip


def _dense(activation: str = "relu") -> list[Layer]:
    return [Dense(WIDTH, activation=activation)]


_SQUARED, _SOFTMAX = LOSSES["mean_squared_error"](), SoftmaxCrossEntropy()
TABLES: dict[str, list[Case]] = {
    "layers": [
        Case(
            f"layer {name}",
            layers,
            _SOFTMAX,
            sample=(3, 7) if name == "Flatten" else (INPUTS,),
            labels=True,
        )
        for name, layers in LAYER_ROWS.items()
    ],
    "activations": [
        Case(f"activation {name}", partial(_dense, name), _SQUARED)
        for name in ACTIVATIONS
    ],
    "losses": [
        *(
            Case(f"loss {name}", _dense, loss, weighted=True)
            for name, loss in LOSS_ROWS.items()
        ),
        *(
            Case(f"loss {name}, labels", _dense, loss, labels=True)
            for name, loss in LOSS_ROWS.items()
            if loss.targets == "classes"
        ),
    ],
    "optimizers": [
        Case(f"optimizer {name}", _dense, _SOFTMAX, rule, labels=True)
        for name, rule in RULE_ROWS.items()
    ],
}


def all_cases() -> list[Case]:
    """The cases of all tables."""
    return [case for table in TABLES.values() for case in table]
