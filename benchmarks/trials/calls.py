"""Odd values for any argument of any public call: one clear error, or the same answer.

A wrong value must raise a ValueError or TypeError of one line that names the argument.
A fine value (a list, a column, another integer dtype) must give the answer of the plain
one.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import xpnet as xn
from xpnet.benchmarks.trials.trial import trial
from xpnet.benchmarks.trials.values import (
    CLASSES,
    FEATURES,
    GROUPS,
    KINDS,
    SAMPLES,
    Kind,
    P,
    W,
    X,
    Y,
    is_matrix,
    leaves,
    repr_of,
    same,
)

REFUSED = (ValueError, TypeError, FileNotFoundError, MemoryError)


def make(rate: float = 0.1, seed: int = 0, loss: Any = "softmax_cross_entropy") -> Any:
    """A small network that classifies."""
    model = xn.Sequential([xn.Dense(3, "tanh"), xn.Dense(CLASSES)])
    trainer = xn.Trainer(model, loss, xn.SGD(rate), device="cpu", seed=seed, jit=False)
    trainer.build(FEATURES)
    return trainer


def _learnt(call: Callable[..., Any]) -> Callable[..., Any]:
    """A call on a new trainer; it returns the parameters afterwards."""

    def run(**arguments: Any) -> Any:
        trainer = make()
        call(trainer, **arguments)
        return trainer.parameters()

    return run


def _stack_fit(**arguments: Any) -> Any:
    stack = xn.Stack([make()])
    stack.fit(**arguments)
    return stack[0].parameters()


def _trainer(**arguments: Any) -> Any:
    """A trainer that has taken a step."""
    plain = {"model": make().model, "loss": "softmax_cross_entropy", "device": "cpu"}
    trainer = xn.Trainer(**(plain | arguments))
    trainer.step(X, Y)
    return trainer.parameters()


def _search(search: Callable[..., Any], *more: Any, **fixed: Any) -> Callable[..., Any]:
    def run(**arguments: Any) -> Any:
        plain = {"x": X, "y": Y, "folds": 2, "epochs": 1, "verbose": False, **fixed}
        results = search(make, *more, **(plain | arguments))
        return getattr(results, "test", None) or results.best.scores

    return run


def _scaler(kind: type[Any], way: str) -> Callable[..., Any]:
    if way == "fit":
        return lambda x: kind.fit(x).to_dict()
    return lambda x: getattr(kind.fit(X), way)(x).astype(np.float32)


def _plain(kind: Any, **fixed: Any) -> Callable[..., Any]:
    """A constructor; it returns the repr of the object."""
    return lambda **arguments: repr(kind(**(fixed | arguments)))


@dataclass(frozen=True)
class Entry:
    """A public call.

    Attributes:
        call: returns what is compared.
        plain: its plain arguments.
        names: the arguments that get odd values, separated by spaces.
        other: argument -> kind, if it is not the usual one of that name.
    """

    call: Callable[..., Any]
    plain: Mapping[str, Any]
    names: str
    other: dict[str, str] = field(default_factory=dict)

    def kind(self, argument: str) -> Kind:
        """The odd values for an argument."""
        return KINDS[(KIND_OF | self.other).get(argument, argument)]


# The kind of an argument of these names, unless an entry says otherwise. Any other
# argument is a kind of its own.
KIND_OF = {
    argument: kind
    for kind, arguments in {
        "samples": "x",
        "labels": "y",
        "flag": "bias diagnose eager nesterov shuffle",
        "optional flag": "jit scale_y stratify verbose",
        "count": "at_once bins directions epochs patience repeats steps trials units",
        "seed": "steps_per_graph",
        "share": "beta1 l2 momentum rate test",
        "positive": "delta eps",
        "name": "activation device dtype loss method optimizer",
        "scaler": "y_scaler",
    }.items()
    for argument in arguments.split()
}
DATA = "x y sample_weight"
PLAIN = {"x": X, "y": Y, "sample_weight": W}
FIT = DATA + " epochs batch_size validation callbacks class_weight shuffle verbose"
FITTED = PLAIN | {"epochs": 2, "batch_size": 5, "verbose": False, "shuffle": True}
SEARCH = (
    DATA + " folds epochs batch_size callbacks class_weight validation scale_y verbose "
    "seed at_once stratify"
)
SEARCHED = {
    **{"sample_weight": W, "stratify": False, "scale_y": False, "seed": 0},
    **{"epochs": 2, "batch_size": 5, "validation": 0.25, "at_once": 2},
}
SHARE = {"validation": "share"}
SPACE = {"space": {"rate": [0.1]}}

ENTRIES: dict[str, Entry] = {
    "Trainer": Entry(
        _trainer,
        {"seed": 0, "eager": True, "jit": False, "steps_per_graph": 2},
        "model loss optimizer device dtype seed eager jit steps_per_graph",
    ),
    "Trainer.fit": Entry(_learnt(xn.Trainer.fit), FITTED, FIT + " diagnose"),
    "Trainer.step": Entry(_learnt(xn.Trainer.step), PLAIN, DATA),
    "Trainer.evaluate": Entry(
        lambda **a: make().evaluate(**a),
        PLAIN | {"batch_size": 5},
        DATA + " batch_size",
    ),
    "Trainer.predict": Entry(
        lambda **a: make().predict(**a), {"x": X, "batch_size": 5}, "x batch_size"
    ),
    "Stack": Entry(_plain(xn.Stack), {}, "trainers"),
    "Stack.fit": Entry(_stack_fit, FITTED, FIT + " rows"),
    "Stack.evaluate": Entry(
        lambda **a: xn.Stack([make()]).evaluate(**a),
        PLAIN | {"batch_size": 5},
        DATA + " rows batch_size",
    ),
    "Stack.predict": Entry(
        lambda **a: np.asarray(xn.Stack([make()]).predict(**a)), {"x": X}, "x rows"
    ),
    "Ensemble": Entry(
        lambda **a: xn.Ensemble([make()], **a).predict(X), {}, "scaler y_scaler"
    ),
    "Ensemble.evaluate": Entry(
        lambda **a: xn.Ensemble([make()]).evaluate(**a), PLAIN, DATA
    ),
    "Ensemble.predict": Entry(
        lambda x: xn.Ensemble([make()], xn.Standardizer.fit(X)).predict(x),
        {"x": X},
        "x",
    ),
    "minimize": Entry(
        _learnt(lambda trainer, **a: xn.minimize(trainer, **a)),
        PLAIN | {"steps": 2, "verbose": False, "l2": 0.25},
        DATA + " steps verbose method",
    ),
    "check_gradients": Entry(
        lambda **a: list(xn.check_gradients(make().model, **a)),
        PLAIN | {"loss": "softmax_cross_entropy", "directions": 2},
        DATA + " directions seed loss",
    ),
    "cross_validate": Entry(_search(xn.cross_validate), SEARCHED, SEARCH, SHARE),
    "grouped": Entry(_search(xn.cross_validate), {"groups": GROUPS}, "groups"),
    "grid_search": Entry(
        _search(xn.grid_search, test=0.25),
        SEARCHED | SPACE,
        SEARCH + " test space",
        SHARE,
    ),
    "random_search": Entry(_search(xn.random_search), SPACE | {"trials": 2}, "trials"),
    "halving_search": Entry(
        _search(xn.halving_search), SPACE | {"trials": 2}, "trials"
    ),
    "k_folds": Entry(
        lambda **a: [
            part.tolist() for fold in xn.k_folds(SAMPLES, **a) for part in fold
        ],
        {"folds": 2, "repeats": 2, "seed": 0},
        "folds repeats seed",
        {"folds": "count"},
    ),
    "split": Entry(
        lambda **a: [part for pair in xn.split(X, Y, **a) for part in pair],
        {"fractions": (0.5, 0.5), "stratify": True, "seed": 0},
        "fractions stratify seed",
        {"stratify": "flag"},
    ),
    "reliability": Entry(
        lambda **a: xn.reliability(**a).error, {"p": P, "y": Y, "bins": 2}, "bins"
    ),
    "derivative": Entry(xn.derivative, {}, "formula"),
    "Sequential": Entry(_plain(xn.Sequential), {}, "layers"),
    "Dense": Entry(
        _plain(xn.Dense, units=2),
        {"bias": True, "max_norm": 0.25},
        "units activation bias",
    ),
    "Dropout": Entry(_plain(xn.Dropout), {"rate": 0.25}, "rate"),
    "Huber": Entry(_plain(xn.Huber), {"delta": 0.25}, "delta"),
    "Adam": Entry(
        _plain(xn.Adam),
        {"learning_rate": 0.25, "beta1": 0.25, "eps": 0.25},
        "beta1 eps l2",
    ),
    "SGD": Entry(
        _plain(xn.SGD, learning_rate=0.1),
        {"momentum": 0.25, "nesterov": True},
        "momentum nesterov",
    ),
    "Cosine": Entry(
        _plain(xn.Cosine), {"rate": 0.25, "steps": 9}, "rate", {"rate": "positive"}
    ),
    "EarlyStopping": Entry(
        lambda **a: vars(xn.EarlyStopping(**a)), {"patience": 2}, "patience"
    ),
    **{
        f"{kind.__name__}.{way}": Entry(_scaler(kind, way), {"x": X}, "x")
        for kind in (xn.Standardizer, xn.MinMaxScaler)
        for way in ("fit", "transform", "inverse")
    },
}
# Values that are right for this argument, though wrong for others of its kind.
SPARED: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("Dense", "activation"): lambda v: v is None or callable(v),
    ("Adam", "l2"): lambda v: isinstance(v, float) and v == 1.0,
    **{(f"{kind}.fit", "x"): is_matrix for kind in ("Standardizer", "MinMaxScaler")},
    **{
        (name, "x"): lambda v: is_matrix(v, FEATURES)
        for name in ENTRIES
        if name.endswith((".transform", ".inverse", ".predict"))
    },
}
# Names that a message may use instead: x of another length does not fit y.
NAMED = {
    "x": ("x", "y"),
    "space": ("space", "settings?", "rate", "epochs", "batch_size"),
    "formula": ("derivative",),
    "trainers": ("trainers?",),
    "layers": ("layers?",),
}


@cache
def answer(name: str) -> list[Any]:
    """The answer of the plain call."""
    entry = ENTRIES[name]
    return leaves(entry.call(**entry.plain))


def judged(name: str, argument: str, value: Any, wrong: bool) -> str:
    """The fault of one call; empty if there is none."""
    entry = ENTRIES[name]
    try:
        found = entry.call(**{**entry.plain, argument: value})
    except REFUSED as error:
        text = str(error)
        if not wrong:
            return "refused"
        # An error from inside NumPy does not name the argument.
        words = "|".join(NAMED.get(argument, (argument,)))
        word = re.search(rf"\b({words})\b", text, re.IGNORECASE)
        return "" if word and "\n" not in text else "unnamed"
    except Exception:
        return "inner error"
    if wrong:
        return "accepted"
    return (
        ""
        if argument not in entry.plain or same(leaves(found), answer(name))
        else "another answer"
    )


@trial(
    "calls", 6000, 60,
    *("accepted", "refused", "another answer", "unnamed", "inner error"),
)  # fmt: skip
def random_calls(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Odd values for any argument of a public call; each fault is printed."""
    random = Random(seed)
    arguments = [(n, a) for n, entry in ENTRIES.items() for a in entry.names.split()]
    for _ in range(tries):
        name, argument = random.choice(arguments)
        kind = ENTRIES[name].kind(argument)
        wrong = not kind.fine or random.random() < 0.7
        value = random.choice(kind.wrong if wrong else kind.fine)(random)
        spared = SPARED.get((name, argument))
        if wrong and spared is not None and spared(value):
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fault = judged(name, argument, value, wrong)
        if fault:
            print(f"{fault}: {name}({argument}={repr_of(value)})")
            yield fault
