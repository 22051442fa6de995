"""The tables: update rules, which a saved model names, and minimisers."""

from collections.abc import Callable
from functools import partial
from typing import Any

from xpnet.common import choose
from xpnet.optim import kinds
from xpnet.optim.adaptive import RMSprop
from xpnet.optim.genetic import GeneticAlgorithm
from xpnet.optim.lbfgs import LBFGS
from xpnet.optim.minimizer import Minimizer
from xpnet.optim.optimizer import Optimizer
from xpnet.optim.rules import SGD
from xpnet.optim.search import GridSearch, RandomSearch

OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in vars(kinds).values()
    if isinstance(kind, type)
}
# More names, of a rule above with a setting.
VARIANTS: dict[str, Callable[..., Optimizer]] = {
    "momentum": partial(SGD, momentum=0.9),
    "nesterov": partial(SGD, momentum=0.9, nesterov=True),
    "rmsprop_centered": partial(RMSprop, centered=True),
}
MINIMIZERS: dict[str, type[Minimizer]] = {
    "lbfgs": LBFGS,
    "random": RandomSearch,
    "grid": GridSearch,
    "genetic": GeneticAlgorithm,
}


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The rule of that name with its defaults; an `Optimizer` as it is.

    Raises:
        ValueError, TypeError: no rule (the nearest is suggested), or a minimiser.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    known = isinstance(optimizer, str) and optimizer in MINIMIZERS
    if known or isinstance(optimizer, Minimizer):
        raise ValueError(
            f"optimizer: {optimizer!r} is no update rule: it evaluates the whole "
            f"objective; use xpnet.minimize(trainer, x, y, {optimizer!r})"
        )
    rule: Any = choose(optimizer, OPTIMIZERS | VARIANTS, "optimizer")
    return rule()  # type: ignore[no-any-return]


def get_minimizer(method: str | Minimizer) -> Minimizer:
    """The minimiser of that name with its defaults; a `Minimizer` as it is.

    Raises:
        ValueError, TypeError: no minimiser (the nearest is suggested), or a rule.
    """
    if isinstance(method, Minimizer):
        return method
    known = isinstance(method, str) and method in OPTIMIZERS
    if known or isinstance(method, Optimizer):
        raise ValueError(
            f"method: {method!r} is an update rule; use Trainer(..., "
            f"optimizer={method!r}) and fit(...)"
        )
    return choose(method, MINIMIZERS, "method")()
