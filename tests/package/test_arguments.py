"""Every public argument: flags are True or False, and a misspelt name has a hint."""

import importlib
import inspect
import re

import numpy as np
import pytest

import xpnet as xn
import xpnet.data as xpnet_data
from tests.cases import data
from tests.training.examples import trainer
from xpnet.common import check_number, check_whole, words
from xpnet.common.words import THEIRS, nearest
from xpnet.layers.activations import ACTIVATIONS
from xpnet.layers.initializers import INITIALIZERS
from xpnet.layers.table import LOSSES
from xpnet.optim.table import OPTIMIZERS

X, Y = data()
ROOMS = ("", ".data", ".layers", ".optim", ".selection", ".training", ".estimators")
# What the layers' own equations hand on, and scikit-learn's own checks.
NOT_FLAGS = {"forward": {"training"}, "evaluation_step": {"targets", "averaged"}}
SKLEARNS = {"GridSearch"}


def own(kind, known):
    """What a class has of its own, or from bases of xpnet that have no public name."""
    bases = [one for one in kind.__mro__ if one.__module__.startswith("xpnet.")]
    bases = [one for one in bases if one is kind or one not in known]
    return {k: v for one in reversed(bases) for k, v in vars(one).items()}


def public():
    """{name: function or class} of every public name, and public methods."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module("xpnet" + room)
        for name in module.__all__:
            found.setdefault(name, getattr(module, name))
    methods = {
        f"{name}.{key}": value
        for name, kind in found.items()
        if inspect.isclass(kind)
        for key, value in own(kind, found.values()).items()
        if inspect.isfunction(value) and not key.startswith("_")
    }
    return {k: v for k, v in (found | methods).items() if callable(v)}


def signature(called):
    try:
        return inspect.signature(called)
    except (TypeError, ValueError):
        return inspect.Signature()


def flags():
    """(public name, flag) wherever a default or an annotation is a bool."""
    for name, called in public().items():
        last = name.rpartition(".")[2]
        for parameter in signature(called).parameters.values():
            kind = str(parameter.annotation)
            flag = isinstance(parameter.default, bool) or re.match(r"bool\b", kind)
            spared = parameter.name in NOT_FLAGS.get(last, ()) or name in SKLEARNS
            if flag and not spared:
                yield name, parameter.name


def make(rate=0.1, seed=0):
    return trainer(seed=seed)


def estimator(kind):
    def call(**flag):
        if "batch_norm" in flag:
            flag = {"batch_norm": [flag["batch_norm"]]}
        getattr(importlib.import_module("xpnet.estimators"), kind)(
            max_iter=1, **flag
        ).fit(X, Y)

    return call


def search(function, *arguments):
    return lambda **flag: function(make, X, Y, *arguments, **flag)


def layer(**flag):
    xn.Layer().declare("W", (1, 1), **flag)


def of_data(name, *arguments):
    return lambda **flag: getattr(xpnet_data, name)(*arguments, **flag)


# How each is called but for the flag; constructors need no more than `required`.
CALLS = {
    "Dense": lambda **flag: xn.Dense(3, **flag),
    "Layer.declare": layer,
    "LogUniform": lambda **flag: xn.LogUniform(1.0, 2.0, **flag),
    "Dataset": of_data("Dataset", X, Y, "mine"),
    "Metric": lambda **flag: xn.Metric(lambda p, y: 0.0, **flag),
    "Uniform": lambda **flag: xn.Uniform(1.0, 2.0, **flag),
    "SGD": lambda **flag: xn.SGD(0.1, momentum=0.9, **flag),
    "RMSprop": xn.RMSprop,
    "RandomSearch": xn.optim.RandomSearch,
    "Trainer": lambda **flag: xn.Trainer(
        xn.Sequential([xn.Dense(3)]), "huber", device="cpu", **flag
    ),
    "Trainer.fit": lambda **flag: trainer().fit(X, Y, 1, 8, **flag),
    "Stack.fit": lambda **flag: xn.Stack([trainer()]).fit(X, Y, 1, 8, **flag),
    "minimize": lambda **flag: xn.minimize(trainer(), X, Y, steps=1, **flag),
    "split": of_data("split", X, Y),
    "cross_validate": search(xn.cross_validate),
    "grid_search": search(xn.grid_search, {}),
    "random_search": search(xn.random_search, {}),
    "halving_search": search(xn.halving_search, {}),
    "learning_curve": search(xn.learning_curve),
    "load_csv": of_data("load_csv", "none.csv"),
    "load_data": of_data("load_data", "digits"),
    "load_mnist": of_data("load_mnist", "none"),
    "load_npz": of_data("load_npz", "none.npz"),
    "load_images": of_data("load_images", "images"),
    "MLPClassifier": estimator("MLPClassifier"),
    "MLPRegressor": estimator("MLPRegressor"),
}
OPTIONS = [
    (name, flag)
    for name in ("cross_validate", "grid_search", "halving_search", "learning_curve")
    for flag in ("scale_y", "verbose")
]
FLAGS = [*flags(), *OPTIONS]


@pytest.mark.parametrize(("name", "flag"), FLAGS)
def test_a_flag_is_true_or_false(name, flag):
    for bad in ("no", "False", 0.5, [], np.ones(2)):
        with pytest.raises((TypeError, ValueError), match=rf"{flag}\b.*got"):
            CALLS[name](**{flag: bad})


def test_what_is_a_flag_is_taken_as_one():
    for flag in (True, np.True_, 1):
        assert xn.Dense(3, bias=flag).bias is True
        assert xn.SGD(0.1, momentum=0.5, nesterov=flag).nesterov is True
        model = xn.Sequential([xn.Dense(3)])
        t = xn.Trainer(model, "huber", device="cpu", eager=flag, jit=flag)
        assert (t.eager, t.jit) == (True, True)


def explains(function):
    """Whether it or what it wraps is an `explains_arguments`."""
    while function is not None:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_filename == words.__file__:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def explained():
    """Public names whose arguments are known by name."""
    for name, called in public().items():
        function = called.__init__ if inspect.isclass(called) else called
        if explains(function):
            parameters = signature(called).parameters.values()
            named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            yield name, named[-1]


MISSPELT = dict(explained())


def test_names_that_people_call_explain_their_arguments():
    expected = {"Trainer", "Stack", "Ensemble", "Sequential", "Dense", "Dropout"}
    expected |= {f"{kind}.fit" for kind in ("Trainer", "Stack")}
    expected |= {f"{kind}.evaluate" for kind in ("Trainer", "Stack", "Ensemble")}
    expected |= {"Trainer.predict", "BatchNorm", "Huber", "Cosine", "EarlyStopping"}
    expected |= {"grid_search", "random_search", "cross_validate", "learning_curve"}
    expected |= {"split", "k_folds", "minimize", "check_gradients", "LBFGS"}
    assert expected <= set(MISSPELT)


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_argument_has_a_hint(name):
    called, right = public()[name], MISSPELT[name]
    wrong = right + right[-1]
    with pytest.raises(TypeError) as caught:
        called(**{wrong: 1})
    if "unexpected" in str(caught.value):  # a search says first what is missing
        assert f"{wrong!r}; did you mean {right!r}? (valid: " in str(caught.value)


FOREIGN = {
    "epoch": (lambda **a: trainer().fit(X, Y, **a), "epochs"),
    "n_epochs": (lambda **a: trainer().fit(X, Y, **a), "epochs"),
    "validation_data": (lambda **a: trainer().fit(X, Y, **a), "validation"),
    "batch": (lambda **a: xn.Stack([trainer()]).fit(X, Y, **a), "batch_size"),
    "lr": (lambda **a: xn.Adam(**a), "learning_rate"),
    "random_state": (lambda **a: xn.Trainer(None, "huber", **a), "seed"),
    "criterion": (lambda **a: xn.Trainer(None, **a), "loss"),
    "use_bias": (lambda **a: xn.Dense(3, **a), "bias"),
    "out_features": (lambda **a: xn.Dense(**a), "units"),
    "p": (lambda **a: xn.Dropout(**a), "rate"),
    "min_lr": (lambda **a: xn.ReduceOnPlateau(**a), "min_rate"),
    "cv": (lambda **a: xn.cross_validate(make, X, Y, **a), "folds"),
    "param_grid": (lambda **a: xn.grid_search(make, X, Y, **a), "space"),
    "test_size": (lambda **a: xn.split(X, Y, **a), "fractions"),
    "n_splits": (lambda **a: xn.k_folds(9, **a), "folds"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_libraries_arguments_lead_to_ours(name):
    call, ours = FOREIGN[name]
    with pytest.raises(TypeError, match=rf"{name!r}; did you mean {ours!r}\?"):
        call(**{name: 3})


def test_an_error_inside_a_call_is_left_as_it_is():
    class Own(xn.Callback):
        def on_epoch_end(self, trainer, row):
            dict.fromkeys(epoch=3)

    with pytest.raises(TypeError, match=r"fromkeys\(\) takes no keyword"):
        trainer().fit(X, Y, 1, 8, callbacks=Own())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        trainer().fit(X)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        xn.grid_search(make, X, Y, epochs=3)


NAMES = {**LOSSES, **ACTIVATIONS, **INITIALIZERS, **OPTIMIZERS}


NAMED = {
    "categorical_crossentropy": "softmax_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "CrossEntropyLoss": "softmax_cross_entropy",
    "log_loss": "softmax_cross_entropy",
    "bce": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "mse": "mean_squared_error",
    "MSELoss": "mean_squared_error",
    "squared_error": "mean_squared_error",
    "mae": "mean_absolute_error",
    "SmoothL1Loss": "huber",
    "logistic": "sigmoid",
    "swish": "silu",
    "linear": "identity",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "AdamW": "adamw",
    "RMSProp": "rmsprop",
    "glorot": "glorot_uniform",
    "kaiming_normal": "he_normal",
    "xavier_uniform": "glorot_uniform",
}


def test_other_libraries_names_lead_to_ours():
    hints = {given: nearest(given, NAMES) for given in NAMED}
    for given, ours in NAMED.items():
        assert f"did you mean {ours!r}?" in hints[given]


def test_the_words_of_other_libraries_are_none_of_ours():
    names = {*NAMES, "cpu", "cuda"}
    arguments = {p for c in public().values() for p in signature(c).parameters}
    options = set(xn.selection.options.Options.__annotations__)
    known = names | arguments | options | {"standard", "minmax", "accuracy", "r2"}
    known |= set(xn.Adam.defaults())
    assert set(THEIRS) <= known


def test_numbers_too_long_to_write_are_refused_all_the_same():
    for huge in (10**400, 10**5000):
        with pytest.raises(ValueError, match=r"A: expected a < 1, got .*$"):
            check_number("A", huge, "a < 1", lambda a: a < 1)
        with pytest.raises(ValueError, match=r"a: expected .*got .*$"):
            check_whole("", "a", huge, 0, 9)
        with pytest.raises(ValueError, match="x: expected finite numbers, got"):
            trainer().predict([[huge, 1]])
