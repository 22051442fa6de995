"""The closed table of update rules, which a saved model may name."""

from typing import Any

from xpnet.backend import choose
from xpnet.optim.adam_variants import Adamax, Nadam, RAdam
from xpnet.optim.adaptive import Adadelta, Adagrad, RMSprop
from xpnet.optim.lion import Lion
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.rules import SGD, Adam, AdamW, AMSGrad

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RMSprop,
    "adam": Adam,
    "amsgrad": AMSGrad,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": Nadam,
    "radam": RAdam,
    "lion": Lion,
}


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The rule of that name with its defaults; an `Optimizer` as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    rule: Any = choose(optimizer, OPTIMIZERS, "optimizer")
    return rule()  # type: ignore[no-any-return]
