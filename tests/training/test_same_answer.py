"""The same values have the same answer, whatever holds them and wherever they enter."""

from functools import cache

import numpy as np
import pytest

import xpnet as xn
from tests.cases import SAMPLES
from tests.training.entrances import VALUES, X, Y, entrances, readers
from tests.training.examples import trainer

pd = pytest.importorskip("pandas")

WHOLE = (10.0 * np.abs(X)).astype(np.int64)
W = np.arange(1.0, SAMPLES + 1.0)
ODD = np.random.Generator(np.random.Philox(3)).permutation(SAMPLES)  # an index


class Tensor:
    """What a tensor of another library looks like from outside."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return self._values


def stored(values, folder, dtype=None):
    """A memory map."""
    array = np.asarray(values, dtype)
    path = folder / "values"
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


def read_only(values):
    found = values.copy()
    found.flags.writeable = False
    return found


ANY = {
    "list": lambda v, folder: v.tolist(),
    "tuple of arrays": lambda v, folder: tuple(np.array(v)),
    "read only": lambda v, folder: read_only(v),
    "strides": lambda v, folder: np.repeat(v, 2, axis=0)[::2],
    "memory map": stored,
    "memory map in another byte order": lambda v, folder: stored(
        v, folder, v.dtype.newbyteorder()
    ),
    "another byte order": lambda v, folder: v.astype(v.dtype.newbyteorder()),
    "objects": lambda v, folder: v.astype(object),
    "a mask that hides nothing": lambda v, folder: np.ma.array(v, mask=False),
    "no mask": lambda v, folder: np.ma.array(v),
    "tensor": lambda v, folder: Tensor(v),
    "longdouble or bytes": lambda v, folder: v.astype("g" if v.ndim > 1 else "u1"),
}
MATRIX = ANY | {
    "np.matrix": lambda v, folder: v.view(np.matrix),
    "Fortran order": lambda v, folder: np.asfortranarray(v),
    "frame": lambda v, folder: pd.DataFrame(v, index=ODD),
    "nullable frame": lambda v, folder: pd.DataFrame(v).astype("Float64"),
    "frame of several kinds": lambda v, folder: pd.DataFrame(v).astype(
        {0: object, 1: "Int64", 2: "float32", 3: "Float32"}
    ),
    "unsigned": lambda v, folder: v.astype("u1"),
    "float16": lambda v, folder: v.astype("f2"),
}
LABELS = ANY | {
    "column": lambda v, folder: v[:, None],
    "column of a matrix": lambda v, folder: v.reshape(-1, 1).view(np.matrix),
    "list of lists": lambda v, folder: v[:, None].tolist(),
    "series": lambda v, folder: pd.Series(v, index=ODD),
    "nullable series": lambda v, folder: pd.Series(v).astype("UInt8"),
    "categories": lambda v, folder: pd.Series(v, dtype="category"),
    "frame": lambda v, folder: pd.DataFrame({"label": v}),
    "int8": lambda v, folder: v.astype("i1"),
    "uint64": lambda v, folder: v.astype("u8"),
}
WEIGHTS = ANY | {
    "series": lambda v, folder: pd.Series(v, index=ODD),
    "nullable series": lambda v, folder: pd.Series(v).astype("Float64"),
    "whole": lambda v, folder: v.astype(int),
    "float16": lambda v, folder: v.astype("f2"),
}
HOT = {
    "list": lambda v, folder: v.tolist(),
    "booleans": lambda v, folder: v.astype(bool),
    "frame of booleans": lambda v, folder: pd.DataFrame(v.astype(bool)),
    "nullable booleans": lambda v, folder: pd.DataFrame(v).astype("boolean"),
    "whole": lambda v, folder: v.astype("u1"),
    "objects": lambda v, folder: v.astype(object),
    "np.matrix": lambda v, folder: v.view(np.matrix),
}


def leaves(found):
    """What an entrance gives, as a flat list of numbers."""
    if isinstance(found, dict):
        return [leaf for name in sorted(found) for leaf in leaves(found[name])]
    if isinstance(found, list | tuple):
        return [leaf for part in found for leaf in leaves(part)]
    return [] if found is None else np.asarray(found, np.float64).ravel().tolist()


PLAIN = {"x": WHOLE, "y": Y, "w": W, "hot": np.eye(3)[Y]}


def arguments(kind, given):
    """(x, y, w) with `given` in its place."""
    return {
        "x": (given, Y, None), "y": (X, given, None),
        "w": (X, Y, given), "hot": (X, given, None),
    }[kind]  # fmt: skip


@cache
def expected(kind, name):
    """The answer for plain arrays."""
    if kind == "read":
        return leaves(readers()[name](WHOLE))
    return leaves(entrances()[name](*arguments(kind, PLAIN[kind])))


# Every form enters here, and a few of them everywhere.
FEW = ("step", "evaluate", "Ensemble.evaluate", "cross_validate")
EVERYWHERE = ("objects", "column", "frame", "series")
CASES = [
    (kind, form)
    for kind, forms in (("x", MATRIX), ("y", LABELS), ("w", WEIGHTS), ("hot", HOT))
    for form in forms
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "form"), CASES)
def test_the_same_values_have_the_same_answer(kind, form, tmp_path):
    forms = {"x": MATRIX, "y": LABELS, "w": WEIGHTS, "hot": HOT}[kind]
    plain = PLAIN[kind]
    given = forms[form](plain, tmp_path)
    before = np.array(plain)
    ways = entrances()
    for name in ways if form in EVERYWHERE else FEW:
        found = leaves(ways[name](*arguments(kind, given)))
        assert found == expected(kind, name), name
    if kind == "x":
        for name, read in readers().items():
            np.testing.assert_allclose(leaves(read(given)), expected("read", name))
    assert np.array_equal(plain, before)


@pytest.mark.parametrize("form", MATRIX)
def test_scalers_take_what_the_networks_take(form, tmp_path):
    given = MATRIX[form](WHOLE, tmp_path)
    for kind in (xn.Standardizer, xn.MinMaxScaler):
        plain, scaler = kind.fit(WHOLE), kind.fit(given)
        assert scaler.to_dict() == plain.to_dict()
        for way in ("transform", "inverse"):
            np.testing.assert_allclose(
                getattr(scaler, way)(given), getattr(plain, way)(WHOLE), rtol=1e-6
            )


@pytest.mark.parametrize("name", FEW)
def test_yes_and_no_are_one_and_zero(name):
    enter = entrances()[name]
    assert leaves(enter(X, Y == 1, None)) == leaves(enter(X, 1 * (Y == 1), None))


def test_a_search_sees_classes_by_the_loss_alone():
    counts = np.arange(SAMPLES) // 2  # numbers, though whole: 12 rare "classes"

    def make(seed=0):
        return trainer(loss="mean_squared_error", outputs=1, seed=seed)

    found = [
        xn.cross_validate(make, X, y, folds=3, epochs=1, verbose=False).best.scores
        for y in (counts, counts[:, None], counts.astype(float))
    ]
    assert found[0] == found[1] == found[2]


def test_samples_that_are_held_out_need_weight():
    w = np.where(np.arange(SAMPLES) < 8, 1.0, 0.0)
    folds = [(np.arange(15), np.arange(15, 23)), (np.arange(8, 23), np.arange(8))]

    def make(seed=0):
        return trainer(seed=seed)

    some = {"sample_weight": w, "epochs": 1, "verbose": False}
    with pytest.raises(ValueError, match=r"sample_weight: .*the test part of fold 0"):
        xn.cross_validate(make, X, Y, folds=folds, **some)
    with pytest.raises(ValueError, match=r"sample_weight: .*training part of fold 0"):
        xn.cross_validate(make, X, Y, folds=folds[1:], **some)
    stack = xn.Stack([trainer(), trainer(seed=1)])
    rows = [np.arange(8), np.arange(8, 23)]
    for name, call in {
        "rows": lambda: stack.fit(X, Y, 1, 5, rows=rows, sample_weight=w),
        "validation_rows": lambda: stack.fit(
            X, Y, 1, 5, validation_rows=rows, sample_weight=w
        ),
        "rows of network 1": lambda: stack.evaluate(X, Y, rows, w),
    }.items():
        with pytest.raises(ValueError, match=rf"sample_weight: .*the {name}"):
            call()


def test_more_samples_a_batch_than_there_are_means_all_with_a_warning():
    def make(seed=0):
        return trainer(seed=seed)

    whole = trainer()
    whole.fit(X, Y, 2, None)
    more, stack = trainer(), xn.Stack([trainer()])
    with pytest.warns(UserWarning, match="batch_size: 24 is more than the 23 samples"):
        more.fit(X, Y, 2, 24)
    with pytest.warns(UserWarning, match="batch_size: 99 is more than the 23 samples"):
        stack.fit(X, Y, 2, 99)
    for other in (more, stack.trainers[0]):
        np.testing.assert_allclose(
            leaves(other.parameters()), leaves(whole.parameters()), rtol=1e-6
        )
    found = [
        xn.cross_validate(
            make, X, Y, folds=3, epochs=2, batch_size=None, verbose=False
        ).best.scores
    ]
    with pytest.warns(UserWarning, match="batch_size: 99 is more than the 16 samples"):
        found.append(
            xn.cross_validate(
                make, X, Y, folds=3, epochs=2, batch_size=99, verbose=False
            ).best.scores
        )
    np.testing.assert_allclose(leaves(found[0]), leaves(found[1]), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_trainer_computes_in_the_byte_order_of_the_machine(dtype):
    plain, swapped = (
        trainer(dtype=np.dtype(dtype).newbyteorder(order)) for order in "=S"
    )
    for t in (plain, swapped):
        t.fit(X, Y, 1, 5)
    assert swapped.dtype == plain.dtype
    assert leaves(plain.parameters()) == leaves(swapped.parameters())


@pytest.mark.slow
def test_values_have_one_answer_too():
    targets = {"list": VALUES.tolist(), "frame": pd.DataFrame(VALUES, index=ODD)}
    for name, enter in entrances("mean_squared_error").items():
        plain = leaves(enter(X, VALUES, None))
        for form, given in targets.items():
            found = leaves(enter(X, given, None))
            np.testing.assert_allclose(found, plain, rtol=1e-9, err_msg=name + form)
