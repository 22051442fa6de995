"""From an estimator's parameters to its update rule and its trainer."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xpnet.common import check_flag, check_number, check_whole, choose, nearest
from xpnet.estimators.architecture import architecture
from xpnet.estimators.ridge import ridged
from xpnet.estimators.rules import PlainAdam, Velocity
from xpnet.layers import Loss
from xpnet.optim import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from xpnet.training import Trainer

RATES = ("constant", "invscaling", "adaptive")

FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")
RULES = {**OPTIMIZERS, "adam": PlainAdam, "sgd": Velocity}

Settings = Mapping[str, Any]


def is_newton(solver: Any) -> bool:
    """Whether the solver is L-BFGS, which takes all samples at once."""
    return isinstance(solver, LBFGS) or (isinstance(solver, str) and solver == "lbfgs")


def optimizer(settings: Settings) -> Optimizer:
    """The update rule that `solver` names, with the rates and momenta beside it.

    An `Optimizer` keeps its own; alpha is added to it.

    Raises:
        ValueError, TypeError: an unknown solver, a number out of range.
    """
    solver, alpha = settings["solver"], _at_least_0("alpha", settings["alpha"])
    if is_newton(solver):
        return SGD(1.0)  # never used: the minimiser moves the weights
    if isinstance(solver, Optimizer):
        return ridged(solver, alpha)
    if not isinstance(solver, str) or solver not in OPTIMIZERS:
        raise ValueError(
            f"solver: expected a name or an Optimizer, got {solver!r}; "
            f"{nearest(str(solver), [*OPTIMIZERS, 'lbfgs'])}"
        )
    kind: Any = RULES[solver]
    rate = check_number(
        "MLP",
        settings["learning_rate_init"],
        "learning_rate_init > 0",
        lambda r: r > 0.0,
    )
    return ridged(kind(rate, **_momenta(kind, settings)), alpha)


def _momenta(kind: type[Optimizer], settings: Settings) -> dict[str, Any]:
    """What scikit-learn's parameters say of this rule, under the rule's names."""
    momentum = settings["momentum"]
    if issubclass(kind, SGD):
        look_ahead = bool(settings["nesterovs_momentum"]) and momentum > 0
        return {"momentum": momentum, "nesterov": look_ahead}
    known = set(kind.defaults())
    names = {"beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"}
    if not issubclass(kind, Adam):
        names.pop("eps")  # whose place and default are the rule's own
    return {own: settings[name] for own, name in names.items() if own in known}


def _at_least_0(name: str, value: Any) -> float:
    return check_number("MLP", value, f"{name} >= 0", lambda v: v >= 0.0)


def check(settings: Settings) -> None:
    """Raises ValueError or TypeError for a number or word that no fit can use."""
    for name in FLAGS:
        check_flag("", name, settings[name])
    verbose = settings["verbose"]
    if not isinstance(verbose, bool | np.bool_):  # scikit-learn has levels of it
        check_whole("", "verbose", verbose, 0)
    choose(settings["learning_rate"], dict.fromkeys(RATES, 0), "learning_rate")
    for name in ("alpha", "tol", "power_t"):
        _at_least_0(name, settings[name])
    share = settings["validation_fraction"]
    check_number("MLP", share, "0 < validation_fraction < 1", lambda v: 0.0 < v < 1.0)
    for name in ("max_iter", "max_fun", "n_iter_no_change"):
        value = settings[name]
        endless = name == "n_iter_no_change" and value == math.inf
        if not endless:
            check_number("MLP", value, f"{name} >= 1", lambda v: v >= 1.0)


def trainer(
    settings: Settings, outputs: int, loss: Loss, metrics: Any, dtype: str, seed: int
) -> Trainer:
    """An unbuilt trainer for these parameters.

    Raises:
        ValueError, TypeError: see `architecture` and `optimizer`.
        DeviceError: a device that cannot be used.
    """
    model = architecture(
        settings["hidden_layer_sizes"],
        settings["activation"],
        settings["dropout"],
        settings["batch_norm"],
        outputs,
    )
    found = Trainer(
        model,
        loss,
        optimizer(settings),
        device=settings["device"],
        dtype=dtype,
        seed=seed,
        metrics=metrics,
    )
    found.by_count = True
    return found
