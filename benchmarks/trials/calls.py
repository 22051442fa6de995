"""Odd values for any argument of any public call: one clear error, or the same answer.

A value is wrong or fine. A wrong one must be refused by a ValueError or TypeError of
one line that names the argument; a fine one (a list, a column, another integer dtype)
must have the answer of the plain form.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import xpnet as xn
from xpnet.benchmarks.trials.trial import Trial

SAMPLES, FEATURES, CLASSES = 14, 3, 2
REFUSED = (ValueError, TypeError, FileNotFoundError, MemoryError)
NAN, INF = float("nan"), float("inf")

Value = Callable[[Random], Any]


def _draw(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


X = np.round(_draw(1).standard_normal((SAMPLES, FEATURES)) * 8.0)  # whole: any dtype
Y = np.arange(SAMPLES) % CLASSES
T = np.round(_draw(2).standard_normal((SAMPLES, 1)) * 8.0)
W = np.arange(1.0, SAMPLES + 1.0)
GROUPS = np.arange(SAMPLES) // 2
P = np.stack([1.0 - np.linspace(0.1, 0.9, SAMPLES), np.linspace(0.1, 0.9, SAMPLES)], 1)
FOLDS = [(np.arange(7), np.arange(7, 14)), (np.arange(7, 14), np.arange(7))]


class Tensor:
    """An array of another library, by its `__array__`."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._values


class Broken:
    """An array that cannot be read, such as a tensor with a gradient."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("cannot be read")


class Device:
    """An array on a GPU."""

    __cuda_array_interface__ = ()


class Sparse:
    """A matrix of SciPy."""

    shape = (SAMPLES, FEATURES)

    def toarray(self) -> Any:
        """The dense one."""
        return X


class Frame:
    """A data frame: columns with names, objects where they are of several kinds."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values).astype(object)
        width = self._values.shape[1] if self._values.ndim == 2 else 1
        self.columns = [f"column {i}" for i in range(width)]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._values


def _masked(values: Any, random: Random) -> Any:
    mask = np.zeros(np.shape(values), np.bool_)
    mask.flat[random.randrange(mask.size)] = True
    return np.ma.array(values, mask=mask)


def _with(values: Any, odd: Any, random: Random) -> Any:
    """Objects, one of them odd."""
    found = np.asarray(values).astype(object)
    found.reshape(-1)[random.randrange(found.size)] = odd
    return found


# Not an array of numbers, whatever it is for.
NO_ARRAY: list[Value] = [
    lambda r: r.choice([None, "text", b"bytes", {"a": 1}, {1.0}, object(), 1j, print]),
    lambda r: r.choice([Device(), Sparse(), Broken(), np.array("text")]),
    lambda r: r.choice([True, 3, 2.5, -1, 10**400, np.float32(1.0), Decimal(1)]),
    lambda r: r.choice([[], [[]], (), np.zeros((0, 3)), np.zeros(0)]),
    lambda r: [[1.0, 2.0], [3.0]] * 7,
    lambda r: np.zeros((2, 2, 2, 2)),
    lambda r: np.zeros(SAMPLES, dtype=[("a", "f4")]),
]
ODD_ENTRIES: list[Any] = [
    None,
    "a",
    1j,
    NAN,
    INF,
    -INF,
    10**400,
    [1, 2],
    {},
]


def _wrong(plain: Any) -> list[Value]:
    """Wrong forms of an array."""
    return [
        *NO_ARRAY,
        lambda r: _masked(plain, r),
        lambda r: [_masked(row, r) for row in np.reshape(plain, (SAMPLES, -1))],
        lambda r: _with(plain, r.choice(ODD_ENTRIES), r),
        lambda r: _with(plain, r.choice(ODD_ENTRIES), r).tolist(),
        lambda r: Frame(_with(plain, r.choice(ODD_ENTRIES), r)),
        lambda r: np.asarray(plain).astype(r.choice(["U3", "complex64", "M8[s]"])),
        lambda r: np.asarray(plain)[: r.randrange(1, SAMPLES)],
        lambda r: np.concatenate([plain, plain]),
    ]


def _fine(plain: Any, whole: bool = True) -> list[Value]:
    """The same values, held by something else."""
    array = np.asarray(plain)
    dtypes = ["f4", "f8", ">f4", ">f8", "g", "O"] if array.dtype.kind == "f" else []
    if whole and array.dtype.kind == "f":
        dtypes += ["i2", "i4", "i8", ">i4", "f2"]
    if array.dtype.kind == "i":
        dtypes = ["u1", "i1", "u4", "u8", ">i8", "O", "i4", "?"]
    return [
        lambda r: array.tolist(),
        lambda r: tuple(array),
        lambda r: array.astype(r.choice(dtypes)),
        lambda r: np.ma.array(array, mask=r.choice([False, np.ma.nomask])),
        lambda r: r.choice([Tensor, Frame])(array),
        lambda r: np.repeat(array, 2, axis=0)[::2],
        lambda r: _locked(array),
    ]


def _locked(values: Any) -> Any:
    found = np.array(values)
    found.flags.writeable = False
    return found


@dataclass(frozen=True)
class Kind:
    """What may be given for an argument: what is wrong, and what is as the plain."""

    wrong: list[Value]
    fine: list[Value]


def _some(*values: Any) -> list[Value]:
    return [lambda r: r.choice(values)]


HUGE = [10**400, -(10**5000)]
NO_NUMBER = ["1", None, [], {}, 1j, NAN, INF, -INF, np.ones(2), object(), True]
NO_FLAG = ["no", "False", "", 2, -1, 0.5, NAN, [], {}, np.ones(2), object(), b"1"]
NO_NAME = ["", "nothing", 3, 2.5, [], {}, object(), b"adam", True, "a" * 10_000]
matrix = partial(np.ndarray.view, type=np.matrix)

KINDS: dict[str, Kind] = {
    "samples": Kind(
        [*_wrong(X), lambda r: X[:, : r.randrange(1, FEATURES)], lambda r: X[0]],
        [*_fine(X), lambda r: matrix(X), lambda r: np.asfortranarray(X)],
    ),
    "labels": Kind(
        [
            *_wrong(Y),
            lambda r: Y + r.choice([1, 5, 2**31, 2**40]),
            lambda r: Y - r.choice([1, 5, 2**31]),
            lambda r: (Y - 1).reshape(-1, 1),
            lambda r: Y.astype(np.uint64) + np.uint64(2**63),
            lambda r: Y + 0.5,
            lambda r: Y.astype(float),
            lambda r: np.eye(3)[Y],
            lambda r: np.eye(2)[Y] * 2.0,
            lambda r: Y.reshape(1, -1),
        ],
        [
            *_fine(Y),
            lambda r: Y[:, None],
            lambda r: matrix(Y[:, None]),
            lambda r: Y[:, None].tolist(),
            lambda r: Y == 1,
        ],
    ),
    "weights": Kind(
        [
            *_wrong(W)[1:],
            *_some("text", {1}, object(), 1j, b"1"),
            lambda r: W[:, None],
            lambda r: -W,
            lambda r: W * 0.0,
            lambda r: _with(W, -1.0, r),
        ],
        [*_fine(W)],
    ),
    "flag": Kind(_some(*NO_FLAG, None), _some(True, 1, np.True_, np.int64(1))),
    "optional flag": Kind(_some(*NO_FLAG), _some(False, 0, np.False_)),
    "count": Kind(
        _some(*NO_NUMBER, 0, -1, 1.5, 2.0, *HUGE[1:]),
        _some(2, np.int64(2), np.uint8(2)),
    ),
    "seed": Kind(_some(*NO_NUMBER, -1, 0.5), _some(0, np.int64(0))),
    "batch size": Kind(
        _some(*(v for v in NO_NUMBER if v is not None), 0, -1, 2.5, 5.0),
        _some(5, np.int16(5)),
    ),
    "share": Kind(_some(*NO_NUMBER, 1.0, -0.1, *HUGE), _some(0.25, np.float32(0.25))),
    "positive": Kind(
        _some(*NO_NUMBER, 0.0, -1.0, *HUGE), _some(0.25, np.float64(0.25))
    ),
    "name": Kind(_some(*NO_NAME, None), []),
    "callbacks": Kind(
        _some("text", 3, [3], xn.EarlyStopping, {"a": 1}, None, print), _some((), [])
    ),
    "validation": Kind(
        _some("text", 3, [X, Y], (X,), X, (X, Y, W, W), {}, (X, Y + 2), (X[:, :1], Y)),
        [],
    ),
    "class weight": Kind(
        _some("balance", [1, 1], {2: 1.0}, {0: -1.0}, {0: NAN}, {0: "1"}, 3, {-1: 1.0}),
        _some({}, {0: 1.0}, {0: 1, 1: 1}),
    ),
    "folds": Kind(
        _some(3.0, 1, 0, 99, "three", None, True, [], [(1, 2, 3)], [3], X, [(Y, Y)])
        + _some([([0], [99])], [([0.5], [1])], [(np.array([]), [1])], -2, "", object()),
        _some(2, np.int64(2)),
    ),
    "groups": Kind(
        [
            *_some("text", 3, [], GROUPS[:3], X, [[1, 2], [3]], {1}, object()),
            lambda r: _masked(GROUPS, r),
            lambda r: _with(GROUPS, None, r),
            lambda r: np.where(GROUPS == 0, NAN, GROUPS),
        ],
        [lambda r: GROUPS.tolist(), lambda r: GROUPS[:, None], lambda r: GROUPS * 1.0],
    ),
    "scaler": Kind(_some("standard", 3, xn.Standardizer, X, {}, ""), _some(None)),
    "fractions": Kind(
        _some(
            0.5, "0.5", (0.5,), (1.2, -0.2), (NAN, 0.5), None, [], {}, (0.5, "0.5"), 2
        )
        + _some([[0.5, 0.5]], object(), True),
        _some([0.5, 0.5], np.array([0.5, 0.5]), (np.float32(0.5), 0.5)),
    ),
    "function": Kind(_some("relu", 3, None, X, [], ""), []),
    "rows": Kind(
        _some("text", 3, [], [[0.5]], [[99]], [[-1]], [[True]], {}, [[]], [[0], [1]])
        + _some([np.ma.array([0, 1, 2], mask=np.arange(3) == 1)]),
        _some([range(SAMPLES)], [np.arange(SAMPLES)], [list(range(SAMPLES))]),
    ),
    "space": Kind(
        _some(
            "rate", 3, [], {"rat": [0.1]}, {"rate": 0.1}, {"rate": []}, {"rate": "ab"}
        )
        + _some({"rate": [-1.0]}, {"rate": ["1"]}, {"batch_size": [0]}, None)
        + _some({"epochs": [0]}, {"epochs": ["1"]}, {"batch_size": ["a"]}),
        _some({"rate": (0.1,)}, {"rate": np.array([0.1])}),
    ),
    "model": Kind(
        _some(None, "text", 3, [xn.Dense(2)], xn.Dense(2), xn.Sequential), []
    ),
    "layers": Kind(_some(None, "text", 3, [], [3], [xn.Dense], {}, xn.Dense(2)), []),
    "trainers": Kind(_some(None, "text", 3, [], [3], xn.Trainer, {}), []),
}


def make(rate: float = 0.1, seed: int = 0, loss: Any = "softmax_cross_entropy") -> Any:
    """A small network that classifies."""
    model = xn.Sequential([xn.Dense(3, "tanh"), xn.Dense(CLASSES)])
    trainer = xn.Trainer(model, loss, xn.SGD(rate), device="cpu", seed=seed, jit=False)
    trainer.build(FEATURES)
    return trainer


def _learnt(call: Callable[..., Any]) -> Callable[..., Any]:
    """A call on a new trainer, and what it has learnt."""

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
    """A constructor; what it makes, in words."""
    return lambda **arguments: repr(kind(**(fixed | arguments)))


@dataclass(frozen=True)
class Entry:
    """A public call: its plain arguments, and what kind each is."""

    call: Callable[..., Any]
    plain: Mapping[str, Any]
    kinds: Mapping[str, str]


DATA = {"x": "samples", "y": "labels", "sample_weight": "weights"}
PLAIN = {"x": X, "y": Y, "sample_weight": W}
FIT = DATA | {
    "epochs": "count",
    "batch_size": "batch size",
    "validation": "validation",
    "callbacks": "callbacks",
    "class_weight": "class weight",
    "shuffle": "flag",
    "verbose": "optional flag",
}
FITTED = PLAIN | {"epochs": 2, "batch_size": 5, "verbose": False, "shuffle": True}
SEARCH = DATA | {
    "folds": "folds",
    "epochs": "count",
    "batch_size": "batch size",
    "callbacks": "callbacks",
    "class_weight": "class weight",
    "validation": "share",
    "scale_y": "optional flag",
    "verbose": "optional flag",
    "seed": "seed",
    "at_once": "count",
    "stratify": "optional flag",
}
# Arguments that a plain call does without get their kind's plain value when it is their
# turn; these are the plain values of such kinds.
TESTED = {"epochs": 2, "batch_size": 5, "validation": 0.25, "seed": 0, "at_once": 2}
SEARCHED = {"sample_weight": W, "stratify": False, "scale_y": False} | TESTED
SPACE = {"space": {"rate": [0.1]}}

ENTRIES: dict[str, Entry] = {
    "Trainer": Entry(
        _trainer,
        {"seed": 0, "eager": True, "jit": False, "steps_per_graph": 2},
        {
            "model": "model",
            "loss": "name",
            "optimizer": "name",
            "device": "name",
            "dtype": "name",
            "seed": "seed",
            "eager": "flag",
            "jit": "optional flag",
            "steps_per_graph": "seed",
        },
    ),
    "Trainer.fit": Entry(_learnt(xn.Trainer.fit), FITTED, FIT | {"diagnose": "flag"}),
    "Trainer.step": Entry(_learnt(xn.Trainer.step), PLAIN, DATA),
    "Trainer.evaluate": Entry(
        lambda **a: make().evaluate(**a),
        PLAIN | {"batch_size": 5},
        DATA | {"batch_size": "batch size"},
    ),
    "Trainer.predict": Entry(
        lambda **a: make().predict(**a),
        {"x": X, "batch_size": 5},
        {"x": "samples", "batch_size": "batch size"},
    ),
    "Stack": Entry(_plain(xn.Stack), {}, {"trainers": "trainers"}),
    "Stack.fit": Entry(_stack_fit, FITTED, FIT | {"rows": "rows"}),
    "Stack.evaluate": Entry(
        lambda **a: xn.Stack([make()]).evaluate(**a),
        PLAIN | {"batch_size": 5},
        DATA | {"rows": "rows", "batch_size": "batch size"},
    ),
    "Stack.predict": Entry(
        lambda **a: np.asarray(xn.Stack([make()]).predict(**a)),
        {"x": X},
        {"x": "samples", "rows": "rows"},
    ),
    "Ensemble": Entry(
        lambda **a: xn.Ensemble([make()], **a).predict(X),
        {},
        {"scaler": "scaler", "y_scaler": "scaler"},
    ),
    "Ensemble.evaluate": Entry(
        lambda **a: xn.Ensemble([make()]).evaluate(**a), PLAIN, DATA
    ),
    "Ensemble.predict": Entry(
        lambda x: xn.Ensemble([make()], xn.Standardizer.fit(X)).predict(x),
        {"x": X},
        {"x": "samples"},
    ),
    "minimize": Entry(
        _learnt(lambda trainer, **a: xn.minimize(trainer, **a)),
        PLAIN | {"steps": 2, "verbose": False, "l2": 0.25},
        DATA | {"steps": "count", "verbose": "optional flag", "method": "name"},
    ),
    "check_gradients": Entry(
        lambda **a: list(xn.check_gradients(make().model, **a)),
        PLAIN | {"loss": "softmax_cross_entropy", "directions": 2},
        DATA | {"directions": "count", "seed": "seed", "loss": "name"},
    ),
    "cross_validate": Entry(_search(xn.cross_validate), SEARCHED, SEARCH),
    "grouped": Entry(
        _search(xn.cross_validate), {"groups": GROUPS}, {"groups": "groups"}
    ),
    "grid_search": Entry(
        _search(xn.grid_search, test=0.25),
        SEARCHED | SPACE,
        SEARCH | {"test": "share", "space": "space"},
    ),
    "random_search": Entry(
        _search(xn.random_search), SPACE | {"trials": 2}, {"trials": "count"}
    ),
    "halving_search": Entry(
        _search(xn.halving_search), SPACE | {"trials": 2}, {"trials": "count"}
    ),
    "k_folds": Entry(
        lambda **a: [
            part.tolist() for fold in xn.k_folds(SAMPLES, **a) for part in fold
        ],
        {"folds": 2, "repeats": 2, "seed": 0},
        {"folds": "count", "repeats": "count", "seed": "seed"},
    ),
    "split": Entry(
        lambda **a: [part for pair in xn.split(X, Y, **a) for part in pair],
        {"fractions": (0.5, 0.5), "stratify": True, "seed": 0},
        {"fractions": "fractions", "stratify": "flag", "seed": "seed"},
    ),
    "reliability": Entry(
        lambda **a: xn.reliability(**a).error,
        {"p": P, "y": Y, "bins": 2},
        {"bins": "count"},
    ),
    "derivative": Entry(xn.derivative, {}, {"formula": "function"}),
    "Sequential": Entry(_plain(xn.Sequential), {}, {"layers": "layers"}),
    "Dense": Entry(
        _plain(xn.Dense, units=2),
        {"bias": True, "max_norm": 0.25},
        {"units": "count", "activation": "name", "bias": "flag"},
    ),
    "Dropout": Entry(_plain(xn.Dropout), {"rate": 0.25}, {"rate": "share"}),
    "Huber": Entry(_plain(xn.Huber), {"delta": 0.25}, {"delta": "positive"}),
    "Adam": Entry(
        _plain(xn.Adam),
        {"learning_rate": 0.25, "beta1": 0.25, "eps": 0.25},
        {"beta1": "share", "eps": "positive", "l2": "share"},
    ),
    "SGD": Entry(
        _plain(xn.SGD, learning_rate=0.1),
        {"momentum": 0.25, "nesterov": True},
        {"momentum": "share", "nesterov": "flag"},
    ),
    "Cosine": Entry(
        _plain(xn.Cosine), {"rate": 0.25, "steps": 9}, {"rate": "positive"}
    ),
    "EarlyStopping": Entry(
        lambda **a: vars(xn.EarlyStopping(**a)),
        {"patience": 2},
        {"patience": "count"},
    ),
    **{
        f"{kind.__name__}.{way}": Entry(_scaler(kind, way), {"x": X}, {"x": "samples"})
        for kind in (xn.Standardizer, xn.MinMaxScaler)
        for way in ("fit", "transform", "inverse")
    },
}
# Right for this argument, though wrong for others of its kind.
SPARED: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("Dense", "activation"): lambda v: v is None or callable(v),
    ("Adam", "l2"): lambda v: isinstance(v, float) and v == 1.0,
    ("Trainer", "steps_per_graph"): lambda v: False,
    ("Standardizer.fit", "x"): lambda v: _is_matrix(v),
    ("MinMaxScaler.fit", "x"): lambda v: _is_matrix(v),
    **{
        (f"{kind}.{way}", "x"): lambda v: _is_matrix(v, FEATURES)
        for kind in ("Standardizer", "MinMaxScaler")
        for way in ("transform", "inverse")
    },
    **{
        (name, "x"): lambda v: _is_matrix(v, FEATURES)
        for name in ("Trainer.predict", "Stack.predict", "Ensemble.predict")
    },
}


# Where a message names something else: x of another length is not of y's length.
NAMED = {
    "x": ("x", "y"),
    "space": ("space", "settings?", "rate", "epochs", "batch_size"),
    "formula": ("derivative",),
    "trainers": ("trainers?",),
    "layers": ("layers?",),
}


def _is_matrix(value: Any, width: int | None = None) -> bool:
    """Whether this is numbers (samples, features) of another length than X."""
    plain = isinstance(value, np.ndarray) and value.dtype.kind in "fi"
    if not plain or isinstance(value, np.ma.MaskedArray) or not value.ndim:
        return False
    if not np.isfinite(value).all():
        return False
    if width is None:
        return bool(value.ndim <= 2 and value.size > 0)
    return bool(value.ndim == 2 and value.shape[1] == width)


def leaves(found: Any) -> list[Any]:
    """What a call gives, as a flat list."""
    if isinstance(found, Mapping):
        return [leaf for name in sorted(found) for leaf in leaves(found[name])]
    if isinstance(found, list | tuple):
        return [leaf for part in found for leaf in leaves(part)]
    if isinstance(found, np.ndarray | np.number):
        return [*np.asarray(found).ravel().tolist()]
    return [found]


@cache
def answer(name: str) -> list[Any]:
    """Of the plain call."""
    entry = ENTRIES[name]
    return leaves(entry.call(**entry.plain))


def same(a: list[Any], b: list[Any]) -> bool:
    """Whether two answers are the same, to the rounding of float32."""
    if len(a) != len(b):
        return False
    pairs = zip(a, b, strict=True)
    return all(
        np.isclose(one, other, rtol=1e-5, atol=1e-6)
        if isinstance(one, float) and isinstance(other, float)
        else one == other
        for one, other in pairs
    )


def judged(name: str, argument: str, value: Any, wrong: bool) -> str:
    """The fault of one call, or nothing."""
    entry = ENTRIES[name]
    try:
        found = entry.call(**{**entry.plain, argument: value})
    except REFUSED as error:
        text = str(error)
        if not wrong:
            return "refused"
        # An error from within NumPy names nothing of ours.
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


def random_calls(
    tries: int, folder: Path, seed: int, told: Callable[..., Any] = print
) -> dict[str, int]:
    """Odd values for random arguments; `told` hears of each fault."""
    faults = dict.fromkeys(
        ("accepted", "refused", "another answer", "unnamed", "inner error"), 0
    )
    random = Random(seed)
    arguments = [(n, a) for n, entry in ENTRIES.items() for a in entry.kinds]
    for _ in range(tries):
        name, argument = random.choice(arguments)
        kind = KINDS[ENTRIES[name].kinds[argument]]
        wrong = not kind.fine or random.random() < 0.7
        value = random.choice(kind.wrong if wrong else kind.fine)(random)
        spared = SPARED.get((name, argument))
        if wrong and spared is not None and spared(value):
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fault = judged(name, argument, value, wrong)
        if fault:
            faults[fault] += 1
            told(f"{fault}: {name}({argument}={repr_of(value)})")
    return faults


def repr_of(value: Any) -> str:
    """A value on one line."""
    try:
        return " ".join(repr(value).split())[:120]
    except ValueError:
        return "a huge number"


CALLS = [
    Trial(
        "calls", "odd values for any argument of a public call", random_calls, 6000, 60
    )
]
