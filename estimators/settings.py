"""From an estimator's parameters to its update rule and its trainer."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnet.common import check_number, check_whole, choose, nearest
from xpnet.estimators.architecture import architecture
from xpnet.estimators.ridge import with_alpha
from xpnet.estimators.rules import PlainAdam, Velocity
from xpnet.layers import Loss
from xpnet.optim import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from xpnet.training.trainer import Trainer

Span = tuple[str, Callable[[float], bool]]  # "{} >= 0", and the same as a function
RATES = ("constant", "invscaling", "adaptive")

RULES = {**OPTIMIZERS, "adam": PlainAdam, "sgd": Velocity}

Settings = Mapping[str, Any]

AT_LEAST_0: Span = "{} >= 0", lambda v: v >= 0.0
ABOVE_0: Span = "{} > 0", lambda v: v > 0.0
BELOW_1: Span = "0 <= {} < 1", lambda v: 0.0 <= v < 1.0
NUMBERS: dict[str, Span] = {
    **dict.fromkeys(("alpha", "tol", "power_t"), AT_LEAST_0),
    **dict.fromkeys(("learning_rate_init", "epsilon"), ABOVE_0),
    **dict.fromkeys(("validation_fraction", "beta_1", "beta_2"), BELOW_1),
    "momentum": ("0 <= {} <= 1", lambda v: 0.0 <= v <= 1.0),
}
FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")


def is_newton(solver: Any) -> bool:
    """Whether the solver is L-BFGS, which takes all samples at once."""
    return isinstance(solver, LBFGS) or (isinstance(solver, str) and solver == "lbfgs")


def optimizer(settings: Settings) -> Optimizer:
    """The update rule of `solver`, with its rates and momenta.

    An `Optimizer` keeps its own rates and momenta; alpha is added to it.

    Raises:
        ValueError, TypeError: an unknown solver, a number out of range.
    """
    solver, alpha = settings["solver"], float(settings["alpha"])
    if is_newton(solver):
        return SGD(1.0)  # never used: the minimiser moves the weights
    if isinstance(solver, Optimizer):
        return with_alpha(solver, alpha)
    if not isinstance(solver, str) or solver not in OPTIMIZERS:
        raise ValueError(
            f"solver: expected a name or an Optimizer, got {solver!r}; "
            f"{nearest(str(solver), [*OPTIMIZERS, 'lbfgs'])}"
        )
    kind: Any = RULES[solver]
    rate = float(settings["learning_rate_init"])
    return with_alpha(kind(rate, **_momenta(kind, settings)), alpha)


def _momenta(kind: type[Optimizer], settings: Settings) -> dict[str, Any]:
    """scikit-learn's momenta under the names of this rule."""
    momentum = settings["momentum"]
    if issubclass(kind, SGD):
        look_ahead = bool(settings["nesterovs_momentum"]) and momentum > 0
        return {"momentum": momentum, "nesterov": look_ahead}
    known = set(kind.defaults())
    names = {"beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"}
    if not issubclass(kind, Adam):
        names.pop("eps")  # the rule has its own eps
    return {own: settings[name] for own, name in names.items() if own in known}


def check_settings(settings: Settings) -> None:
    """Raises ValueError or TypeError for what scikit-learn's MLP refuses.

    The layers, the solver and the loss check themselves.
    """
    choose(settings["learning_rate"], dict.fromkeys(RATES, 0), "learning_rate")
    for name, (span, right) in NUMBERS.items():
        check_number("MLP", settings[name], span.format(name), right)
    for name in ("max_iter", "max_fun", "n_iter_no_change"):
        value = settings[name]
        if name != "n_iter_no_change" or value != math.inf:
            check_whole("MLP", name, value, 1)
            check_number("MLP", value, f"{name} < 2^63", lambda n: n < 2.0**63)
    for name in FLAGS:
        if not isinstance(settings[name], bool | np.bool_):  # 0 and 1 are refused too
            raise TypeError(f"{name}: expected True or False, got {settings[name]!r}")
    verbose, size = settings["verbose"], settings["batch_size"]
    if not isinstance(verbose, bool | np.bool_):
        check_whole("", "verbose", verbose, 0)
    if not (isinstance(size, str) and size == "auto"):
        check_whole("", "batch_size", size, 1)
    if settings["early_stopping"] and settings["validation_fraction"] == 0.0:
        raise ValueError(
            "MLP: expected 0 < validation_fraction < 1 with early_stopping, got 0.0"
        )


def make_trainer(
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
