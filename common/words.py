"""Names that other libraries use, and a hint where one of them is met here."""

import functools
import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar, cast

from xpnet.common.console import printable

T = TypeVar("T")
MOST_NAMES = 10_000  # that a misspelt one is compared with
MOST_SHOWN = 60  # of them in a message

# Ours -> theirs (Keras, PyTorch, scikit-learn, optax, XGBoost), without case and `_`.
THEIRS = {
    # Arguments.
    "learning_rate": "lr eta step_size learning_rate_init base_lr rate",
    "epochs": "epoch n_epochs num_epochs nb_epoch max_iter max_epochs n_iter",
    "batch_size": "batch minibatch bs",
    "validation": "validation_data validation_split validation_fraction val "
    "val_data eval_set validation_set",
    "sample_weight": "weights weight sample_weights w",
    "class_weight": "class_weights",
    "optimizer": "solver optim opt rule",
    "loss": "criterion loss_fn loss_function objective",
    "metrics": "metric scoring",
    "seed": "random_state random_seed rng",
    "verbose": "progress disp",
    "units": "out_features n_units width size hidden_layer_sizes",
    "activation": "act nonlinearity activation_function",
    "bias": "use_bias fit_intercept",
    "initializer": "kernel_initializer init weight_init",
    "max_norm": "kernel_constraint",
    "rate": "p dropout drop prob",
    "std": "stddev sigma scale noise",
    "eps": "epsilon",
    "beta1": "beta_1 b1 betas",
    "beta2": "beta_2 b2",
    "l2": "alpha kernel_regularizer reg_lambda penalty ridge",
    "weight_decay": "wd decay",
    "clip_norm": "clipnorm max_grad_norm global_clipnorm",
    "clip_value": "clipvalue",
    "delta": "beta",
    "folds": "cv n_splits n_folds k kfold",
    "space": "param_grid params param_distributions grid parameters",
    "trials": "n_trials",
    "test": "test_size holdout",
    "fractions": "test_size train_size sizes ratio ratios",
    "monitor": "scoring refit",
    "make": "estimator build_fn model_fn",
    "min_delta": "tol threshold",
    "patience": "n_iter_no_change",
    "min_rate": "min_lr",
    "rows": "indices index",
    "model": "network net",
    "jit": "jit_compile",
    "eager": "run_eagerly",
    # Losses.
    "softmax_cross_entropy": "categorical_crossentropy ce "
    "sparse_categorical_crossentropy crossentropy crossentropyloss log_loss nll "
    "nllloss nll_loss multiclass logloss softmax_cross_entropy_with_integer_labels",
    "binary_cross_entropy": "binary_crossentropy bce bceloss bcewithlogitsloss "
    "binary_cross_entropy_with_logits sigmoid_binary_cross_entropy logistic_loss",
    "mean_squared_error": "mse mseloss mse_loss squared_error l2 l2_loss squared_loss",
    "mean_absolute_error": "mae l1 l1loss l1_loss absolute_error",
    "huber": "smooth_l1 smooth_l1_loss smoothl1loss huberloss huber_loss",
    # Activations.
    "identity": "linear none",
    "sigmoid": "logistic expit hard_sigmoid",
    "silu": "swish hard_swish hardswish",
    "elu": "selu celu",
    "leaky_relu": "prelu lrelu",
    "relu": "relu6 rectifier",
    # Initial weights.
    "glorot_uniform": "glorot xavier xavier_uniform",
    "glorot_normal": "xavier_normal",
    "he_normal": "he kaiming kaiming_normal variance_scaling",
    "he_uniform": "kaiming_uniform",
    "normal": "random_normal truncated_normal gaussian",
    "uniform": "random_uniform",
    # Update rules, devices, scores.
    "adam": "adamoptimizer",
    "sgd": "gd gradient_descent",
    "cuda": "gpu gpu:0 nvidia",
    "cpu": "host numpy",
    "accuracy": "acc categorical_accuracy sparse_categorical_accuracy",
    "r2": "r2_score rsquared",
    "standard": "standardscaler standardize zscore",
    "minmax": "minmaxscaler min_max",
}


def squeezed(name: str) -> str:
    """A name without case, spaces, dashes and underscores."""
    return re.sub(r"[\s_\-]+", "", name).lower()


OURS: dict[str, list[str]] = {}
for _ours, _theirs in THEIRS.items():
    for _word in _theirs.split():
        OURS.setdefault(squeezed(_word), []).append(_ours)


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest of `names`, then all of them."""
    names = sorted(map(printable, islice(names, MOST_NAMES)))
    text = str(name)[:200]
    plain = squeezed(text)
    close = [n for n in names if squeezed(n) == plain]  # "ReLU"
    close = close or [n for n in OURS.get(plain, ()) if n in names]  # "swish"
    initials = ["".join(word[:1] for word in n.split("_")) == text for n in names]
    close = close or [n for n, same in zip(names, initials, strict=True) if same]
    close = close or [n for n in names if sorted(n) == sorted(text)]  # "adma"
    close = close or get_close_matches(text, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    more = ", ..." if len(names) > MOST_SHOWN else ""
    return f"{guess}(valid: {', '.join(names[:MOST_SHOWN])}{more})"


def explains_arguments(called: T) -> T:
    """A function or class that answers an argument which it has not with the nearest.

    The names are looked at only after a TypeError, so a right call costs next to
    nothing. Of a class, its constructor is meant.
    """
    if isinstance(called, type):
        constructor: Any = vars(called)["__init__"]
        setattr(called, "__init__", explains_arguments(constructor))  # noqa: B010
        return called
    function: Any = called

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            unknown = _unknown(function, args, kwargs)
            if not unknown:
                raise
        raise TypeError(unknown)

    return cast(T, call)


def _unknown(function: Any, args: tuple[Any, ...], given: Iterable[str]) -> str:
    """What to say about the first of the names `given` that `function` has not."""
    known = inspect.signature(function).parameters.values()
    open_ended = any(one.kind is one.VAR_KEYWORD for one in known)
    valid = [one.name for one in known if one.kind is not one.VAR_KEYWORD]
    valid = [name for name in valid if name != "self"]
    unknown = [name for name in given if name not in valid]
    if open_ended:  # another one may be right; what is missing was called by it
        unknown = [n for n in unknown if {*OURS.get(squeezed(n), ())} & {*valid}]
    if not unknown:
        return ""
    name, owner = unknown[0], function.__qualname__
    if args and owner.endswith(f".{function.__name__}") and "<" not in owner:
        kind, method = type(args[0]).__name__, function.__name__
        owner = kind if method == "__init__" else f"{kind}.{method}"
    return f"{owner}: unexpected argument {name!r}; {nearest(name, valid)}"
