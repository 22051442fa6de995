"""Odd values for arguments: wrong ones and fine ones for each kind of argument.

A fine value (a list, a column, another integer dtype) means the same as the plain one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import numpy as np

import xpnet as xn

SAMPLES, FEATURES, CLASSES = 14, 3, 2
NAN, INF = float("nan"), float("inf")

Value = Callable[[Random], Any]


def _draw(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


X = np.round(_draw(1).standard_normal((SAMPLES, FEATURES)) * 8.0)  # whole: any dtype
Y = np.arange(SAMPLES) % CLASSES
W = np.arange(1.0, SAMPLES + 1.0)
GROUPS = np.arange(SAMPLES) // 2
P = np.stack([1.0 - np.linspace(0.1, 0.9, SAMPLES), np.linspace(0.1, 0.9, SAMPLES)], 1)


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
    """A sparse matrix of SciPy."""

    shape = (SAMPLES, FEATURES)

    def toarray(self) -> Any:
        """The dense matrix."""
        return X


class Frame(Tensor):
    """A data frame: columns with names, values as objects."""

    def __init__(self, values: Any) -> None:
        super().__init__(np.asarray(values).astype(object))
        width = self._values.shape[1] if self._values.ndim == 2 else 1
        self.columns = [f"column {i}" for i in range(width)]


def _masked(values: Any, random: Random) -> Any:
    mask = np.zeros(np.shape(values), np.bool_)
    mask.flat[random.randrange(mask.size)] = True
    return np.ma.array(values, mask=mask)


def _with(values: Any, odd: Any, random: Random) -> Any:
    """`values` as objects, one of them replaced by `odd`."""
    found = np.asarray(values).astype(object)
    found.reshape(-1)[random.randrange(found.size)] = odd
    return found


# Never a valid array of numbers.
NO_ARRAY: list[Value] = [
    lambda r: r.choice([None, "text", b"bytes", {"a": 1}, {1.0}, object(), 1j, print]),
    lambda r: r.choice([Device(), Sparse(), Broken(), np.array("text")]),
    lambda r: r.choice([True, 3, 2.5, -1, 10**400, np.float32(1.0), Decimal(1)]),
    lambda r: r.choice([[], [[]], (), np.zeros((0, 3)), np.zeros(0)]),
    lambda r: [[1.0, 2.0], [3.0]] * 7,
    lambda r: np.zeros((2, 2, 2, 2)),
    lambda r: np.zeros(SAMPLES, dtype=[("a", "f4")]),
]
ODD_ENTRIES: list[Any] = [None, "a", 1j, NAN, INF, -INF, 10**400, [1, 2], {}]


def wrong_forms(plain: Any) -> list[Value]:
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


def fine_forms(plain: Any, whole: bool = True) -> list[Value]:
    """The same values in other containers and dtypes."""
    array = np.asarray(plain)
    dtypes = ["f4", "f8", ">f4", ">f8", "g", "O"] if array.dtype.kind == "f" else []
    if whole and array.dtype.kind == "f":
        dtypes += ["i2", "i4", "i8", ">i4", "f2"]
    if array.dtype.kind == "i":
        dtypes = ["u1", "i1", "u4", "u8", ">i8", "O", "i4"]
        dtypes += ["?"] if array.max() < 2 else []
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
    """Wrong values for an argument, and values that mean the plain one."""

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
        [*wrong_forms(X), lambda r: X[:, : r.randrange(1, FEATURES)], lambda r: X[0]],
        [*fine_forms(X), lambda r: matrix(X), lambda r: np.asfortranarray(X)],
    ),
    "labels": Kind(
        [
            *wrong_forms(Y),
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
            *fine_forms(Y),
            lambda r: Y[:, None],
            lambda r: matrix(Y[:, None]),
            lambda r: Y[:, None].tolist(),
            lambda r: Y == 1,
        ],
    ),
    "sample_weight": Kind(
        [
            *wrong_forms(W)[1:],
            *_some("text", {1}, object(), 1j, b"1"),
            lambda r: W[:, None],
            lambda r: -W,
            lambda r: W * 0.0,
            lambda r: _with(W, -1.0, r),
        ],
        [*fine_forms(W)],
    ),
    "flag": Kind(_some(*NO_FLAG, None), _some(True, 1, np.True_, np.int64(1))),
    "optional flag": Kind(_some(*NO_FLAG), _some(False, 0, np.False_)),
    "count": Kind(
        _some(*NO_NUMBER, 0, -1, 1.5, 2.0, *HUGE[1:]),
        _some(2, np.int64(2), np.uint8(2)),
    ),
    "seed": Kind(_some(*NO_NUMBER, -1, 0.5), _some(0, np.int64(0))),
    "batch_size": Kind(
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
    "class_weight": Kind(
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
    "formula": Kind(_some("relu", 3, None, X, [], ""), []),
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


# Results of calls.


def leaves(found: Any) -> list[Any]:
    """The result of a call as a flat list."""
    if isinstance(found, Mapping):
        return [leaf for name in sorted(found) for leaf in leaves(found[name])]
    if isinstance(found, list | tuple):
        return [leaf for part in found for leaf in leaves(part)]
    if isinstance(found, np.ndarray | np.number):
        return [*np.asarray(found).ravel().tolist()]
    return [found]


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


def is_matrix(value: Any, width: int | None = None) -> bool:
    """Whether `value` is a valid matrix (samples, features), of any length."""
    plain = isinstance(value, np.ndarray) and value.dtype.kind in "fi"
    if not plain or isinstance(value, np.ma.MaskedArray) or not value.ndim:
        return False
    if not np.isfinite(value).all():
        return False
    if width is None:
        return bool(value.ndim <= 2 and value.size > 0)
    return bool(value.ndim == 2 and value.shape[1] == width)


def repr_of(value: Any) -> str:
    """The repr of a value on one line."""
    try:
        return " ".join(repr(value).split())[:120]
    except ValueError:
        return "a huge number"
