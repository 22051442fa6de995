"""The parameters that MLPClassifier and MLPRegressor share: defaults and documents."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from textwrap import indent
from typing import Any

from sklearn.base import BaseEstimator

from xpnet.optim import LBFGS, Optimizer

DIFFERENCES = """
The parameters, the objective, the update rules "adam" and "sgd", the initial
weights and held-out samples of a `random_state`, the stopping rule and its warnings
are those of scikit-learn: with shuffle=False the weights are the same. The orders
of the samples and L-BFGS are xpnet's own. coefs_ are copies: writing into them
changes no prediction.
"""
PARAMETERS = """
hidden_layer_sizes: width of each hidden layer.
activation: a name ("logistic" is sigmoid), a function f(z), an `ActivationFunction`,
    or a list with one per hidden layer.
solver: "adam", "sgd" or any name of `optim.OPTIMIZERS`, each with
    learning_rate_init; an `Optimizer`, which keeps its own rate and momenta;
    "lbfgs" or an `LBFGS`, which takes all samples at once and at most max_fun
    evaluations.
alpha: L2 penalty, divided by the samples of each batch (by Σ w with weights):
    ½ (alpha / Σ w) Σ W². It is added to an `Optimizer`'s own penalties.
batch_size: samples per update; "auto" is min(200, samples).
learning_rate: "constant"; "invscaling": learning_rate_init / (t + 1)^power_t
    after t samples; "adaptive": divided by 5 each time the stopping rule would
    end training. For solver="sgd".
max_iter: the most epochs, or iterations of L-BFGS.
shuffle: whether each epoch has a new order.
random_state: of the initial weights, the orders, the held-out samples, masks.
tol, n_iter_no_change: training ends when for more than n_iter_no_change epochs in a
    row the objective has not fallen by tol, or the held-out score not risen by tol.
verbose: print a table row per epoch.
warm_start: whether `fit` continues from the weights of the previous fit.
momentum, nesterovs_momentum: of solver="sgd"; momentum in [0, 1).
early_stopping: whether the score of held-out samples ends training; the weights of
    the best score are kept.
validation_fraction: share of the samples that is held out for it.
beta_1, beta_2, epsilon: of the rules that have them.
dropout: rate after each hidden layer, or a list with one per layer.
batch_norm: whether each hidden layer has a `BatchNorm` in front of its activation,
    or a list with one answer per layer.
callbacks: xpnet's, such as `ReduceOnPlateau`; "val_" curves need `validation` or
    early_stopping.
device: "cpu", "cuda", "cuda:1", "auto" (a GPU if one works).
dtype: "float32" or "float64"; None for that of X, as in scikit-learn. float32 moves
    half the bytes.
"""
ATTRIBUTES = """
coefs_, intercepts_: W (n_in, n_out) and b (n_out,) of each layer, copies.
loss_, best_loss_, loss_curve_: the objective, penalty included, by epoch.
history_: the `History`: loss, val_ curves, rates and seconds of every epoch.
n_iter_, t_: epochs of this fit; samples seen in all.
n_layers_, n_outputs_, out_activation_: the shape of the network.
n_features_in_, feature_names_in_: of X.
"""


@cache
def _parameter_names(kind: Hashable) -> tuple[str, ...]:
    names: Any = BaseEstimator._get_param_names
    return tuple(names.__func__(kind))


@dataclass(eq=False, repr=False, match_args=False, kw_only=True)
class Parameters(BaseEstimator):  # type: ignore[misc]
    """The shared parameters; a subclass is a dataclass and adds its own.

    Its docstring has the lines `{differences}`, `{parameters}` and `{attributes}`,
    which become the documents above.
    """

    solver: str | Optimizer | LBFGS = "adam"
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    dropout: Any = 0.0
    batch_norm: Any = False
    callbacks: Any = ()
    device: Any = "auto"
    dtype: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        documents = {
            "    {differences}": DIFFERENCES,
            "        {parameters}": PARAMETERS,
            "        {attributes}": ATTRIBUTES,
        }
        for line, text in documents.items():
            margin = line[: line.index("{")]
            indented = indent(text.strip(), margin)
            cls.__doc__ = cls.__doc__ and cls.__doc__.replace(line, indented)

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """scikit-learn's, which reads the signature each time, cached."""
        kind: Any = cls
        return list(_parameter_names(kind))
