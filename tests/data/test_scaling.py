"""Scaling features."""

import json
import tracemalloc

import numpy as np
import pytest

from xpnet.data import SCALERS, Scaler, Standardizer, features

FORMULAS = {
    "standard": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
    "minmax": lambda x: (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0)),
}
DTYPES = ["uint8", "int64", "float16", "float32", "float64", ">f4"]


def sample(dtype="float64", samples=50):
    rng = np.random.Generator(np.random.Philox(5))
    return (rng.random((samples, 4)) * [8, 10, 100, 100] + 100).astype(dtype)


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaler_is_its_formula_and_is_undone(name, dtype):
    x = sample(dtype)
    before = x.copy()
    scaler = SCALERS[name].fit(x[:30])  # the training part alone
    got = scaler.transform(x)
    assert got.dtype == (np.float64 if dtype == "float64" else np.float32)
    expected = FORMULAS[name](x[:30].astype(np.float64))
    np.testing.assert_allclose(got[:30], expected, rtol=1e-6, atol=1e-6)
    assert np.array_equal(x, before)
    kept = got.copy()
    back = scaler.inverse(got)
    assert back.dtype == got.dtype
    np.testing.assert_allclose(back, x.astype(got.dtype), rtol=1e-6)
    assert np.array_equal(got, kept)


@pytest.mark.parametrize("name", SCALERS)
def test_a_constant_column_becomes_zero(name):
    for value in (0.1, 1e9 + 0.1, -3.0):
        x = sample()
        x[:, 1] = value
        scaler = SCALERS[name].fit(x)
        assert scaler.scale[1] == 1
        assert (scaler.transform(x)[:, 1] == 0).all()
        assert (scaler.inverse(scaler.transform(x))[:, 1] == value).all()


def test_small_differences_on_a_large_offset_survive():
    x = np.array([[1e9], [1e9 + 1], [1e9 + 2]])
    got = Standardizer.fit(x).transform(x)
    np.testing.assert_allclose(got[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])


@pytest.mark.parametrize("name", SCALERS)
def test_json_and_blocks_change_nothing(name, monkeypatch):
    x = sample(samples=101)
    scaler = SCALERS[name].fit(x)
    back = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert type(back) is SCALERS[name]
    assert np.array_equal(back.shift, scaler.shift)
    assert np.array_equal(back.scale, scaler.scale)
    monkeypatch.setattr(features, "BLOCK", 40)
    parts = SCALERS[name].fit(x).transform(x)
    np.testing.assert_allclose(parts, scaler.transform(x), rtol=1e-12, atol=1e-12)
    assert scaler.transform(np.empty((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("name", SCALERS)
def test_a_memory_mapped_file_is_never_copied_whole(name, tmp_path):
    path = tmp_path / "x"
    with open(path, "wb") as file:
        file.truncate(2**25)
    x = np.memmap(path, np.uint8, "r+", shape=(2**15, 2**10))
    x[0] = 1
    tracemalloc.start()
    try:
        SCALERS[name].fit(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # In float64 the whole would take 256 MiB, a block takes 8.
    assert peak < 2**26


HOLE = np.array([[1.0, 2.0], [3.0, np.nan]])
SCALER = Standardizer(np.zeros(2), np.ones(2))


UNFIT = [
    (HOLE, "x: .*finite.*got nan at row 1, column 1 .*; hint"),
    (HOLE[None], "x: .*\\(samples, features\\).*got \\(1, 2, 2\\); hint"),
    (HOLE.astype(str), "x: expected real numbers, got text; encode"),
    ([[1.0, None]], "x: .*got a missing entry .None. in column 1, row 0; enc"),
    (np.ma.array(np.ones((2, 2)), mask=np.eye(2)), "x: .*got 2, the first at x.0, 0"),
    (HOLE[:0], "x: .*at least one sample.*got shape \\(0, 2\\); hint"),
]


@pytest.mark.parametrize(("x", "message"), UNFIT)
def test_a_scaler_is_not_fitted_on_bad_input(x, message):
    for kind in SCALERS.values():
        with pytest.raises((ValueError, TypeError), match=message):
            kind.fit(x)


@pytest.mark.parametrize("name", SCALERS)
def test_one_feature_may_come_without_its_axis(name):
    y = sample()[:, 1]
    flat, column = SCALERS[name].fit(y), SCALERS[name].fit(y[:, None])
    assert flat.to_dict() == column.to_dict()
    scaled = flat.transform(y)
    assert scaled.shape == y.shape
    np.testing.assert_array_equal(scaled, column.transform(y[:, None])[:, 0])
    np.testing.assert_allclose(flat.inverse(scaled), y)


UNSCALED = [
    (np.ones((3, 5)), "x: expected 2 features.*got shape .3, 5.; hint"),
    (np.ones(50), "x: expected 2 features.*got shape .50,."),
    (HOLE, "x: .*got nan at row 1, column 1 .*; hint"),
    (-np.inf * np.ones((1, 2), np.float32), "x: .*got -inf at row 0.*; hint"),
    (np.ones((1, 1, 2)), "x: .*got \\(1, 1, 2\\); hint"),
    (np.ones((1, 2), complex), "x: expected real numbers.*complex128; "),
]


@pytest.mark.parametrize(("x", "message"), UNSCALED)
def test_bad_input_is_not_scaled(x, message):
    for method in (SCALER.transform, SCALER.inverse):
        with pytest.raises((ValueError, TypeError), match=message):
            method(x)


def test_the_row_of_a_nan_is_counted_across_blocks(monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 4)
    x = np.ones((9, 2))
    x[7, 0] = np.nan
    with pytest.raises(ValueError, match="nan at row 7, column 0 "):
        Standardizer.fit(x)


GOOD = SCALER.to_dict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected kind, shift and scale, got nothing; hint"),
        (GOOD | {"more": 1}, "got kind, shift, scale, more; hint"),
        (GOOD | {"kind": "standart"}, "scaler 'standart'; did you mean 'standard'"),
        (GOOD | {"shift": [0.0]}, "shapes \\(1,\\) and \\(2,\\).*; hint"),
        (GOOD | {"scale": [1.0, 0.0]}, "a positive scale.*; hint"),
        (GOOD | {"scale": [1.0, float("nan")]}, "a positive scale.*; hint"),
        (GOOD | {"shift": [float("inf"), 0.0]}, "finite shift.*; hint"),
        (GOOD | {"shift": "zero"}, "lists of numbers.*; hint"),
        (GOOD | {"shift": [[0.0], [0.0, 1.0]]}, "lists of numbers.*; hint"),
    ],
)
def test_a_malformed_scaler_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Scaler.from_dict(values)
