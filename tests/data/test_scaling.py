"""Scaling features."""

import json
import tracemalloc

import numpy as np
import pytest

from xpnet.data import SCALERS, MinMaxScaler, Scaler, Standardizer, features

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
def test_a_scaler_agrees_with_its_formula_and_keeps_the_dtype(name, dtype):
    x = sample(dtype)
    before = x.copy()
    got = SCALERS[name].fit(x).transform(x)
    assert got.dtype == (np.float64 if dtype == "float64" else np.float32)
    expected = FORMULAS[name](x.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverse_undoes_transform_and_changes_nothing(name, dtype):
    x = sample(dtype)
    scaler = SCALERS[name].fit(x)
    scaled = scaler.transform(x)
    before = scaled.copy()
    back = scaler.inverse(scaled)
    assert back.dtype == x.dtype
    np.testing.assert_allclose(back, x, rtol=1e-6)
    assert np.array_equal(scaled, before)


@pytest.mark.parametrize("name", SCALERS)
def test_a_scaler_is_fitted_on_the_training_part_alone(name):
    x = sample()
    scaler = SCALERS[name].fit(x[:30])
    scaled = scaler.transform(x)
    np.testing.assert_allclose(scaled[:30], FORMULAS[name](x[:30]))
    assert not np.allclose(scaled, FORMULAS[name](x))


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("value", [0.1, 1e9 + 0.1, -3.0])
def test_a_constant_column_becomes_zero(name, value):
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
def test_a_scaler_survives_json_to_the_last_bit(name):
    scaler = SCALERS[name].fit(sample())
    back = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert type(back) is SCALERS[name]
    assert np.array_equal(back.shift, scaler.shift)
    assert np.array_equal(back.scale, scaler.scale)


@pytest.mark.parametrize("name", SCALERS)
def test_blocks_give_what_the_whole_gives(name, monkeypatch):
    x = sample(samples=101)
    whole = SCALERS[name].fit(x).transform(x)
    monkeypatch.setattr(features, "BLOCK", 40)
    parts = SCALERS[name].fit(x).transform(x)
    np.testing.assert_allclose(parts, whole, rtol=1e-12, atol=1e-12)


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


def test_no_samples_to_transform_give_no_rows():
    scaler = MinMaxScaler.fit(sample())
    assert scaler.transform(np.empty((0, 4))).shape == (0, 4)


HOLE = np.array([[1.0, 2.0], [3.0, np.nan]])
SCALER = Standardizer(np.zeros(2), np.ones(2))


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (HOLE, "x: .*finite.*got nan at row 1, column 1 .*; hint"),
        (HOLE[None], "x: .*\\(samples, features\\).*got \\(1, 2, 2\\); hint"),
        (HOLE.astype(str), "x: expected real numbers, got text; encode"),
        ([[1.0, None]], "x: .*got a missing entry .None. in column 1, row 0; enc"),
        (
            np.ma.array(np.ones((2, 2)), mask=np.eye(2)),
            "x: .*got 2, the first at x.0, 0",
        ),
        (HOLE[:0], "x: .*at least one sample.*got shape \\(0, 2\\); hint"),
    ],
)
def test_a_scaler_is_not_fitted_on_bad_input(name, x, message):
    with pytest.raises((ValueError, TypeError), match=message):
        SCALERS[name].fit(x)


@pytest.mark.parametrize("name", SCALERS)
def test_one_feature_may_come_without_its_axis(name):
    y = sample()[:, 1]
    flat, column = SCALERS[name].fit(y), SCALERS[name].fit(y[:, None])
    assert flat.to_dict() == column.to_dict()
    scaled = flat.transform(y)
    assert scaled.shape == y.shape
    np.testing.assert_array_equal(scaled, column.transform(y[:, None])[:, 0])
    np.testing.assert_allclose(flat.inverse(scaled), y)
    with pytest.raises(ValueError, match=r"x: expected 2 features.*got shape \(50,\)"):
        SCALER.transform(y)


@pytest.mark.parametrize("method", ["transform", "inverse"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((3, 5)), "x: expected 2 features.*got shape .3, 5.; hint"),
        (HOLE, "x: .*got nan at row 1, column 1 .*; hint"),
        (-np.inf * np.ones((1, 2), np.float32), "x: .*got -inf at row 0.*; hint"),
        (np.ones((1, 1, 2)), "x: .*got \\(1, 1, 2\\); hint"),
        (np.ones((1, 2), complex), "x: expected real numbers.*complex128; "),
    ],
)
def test_bad_input_is_not_scaled(method, x, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(SCALER, method)(x)


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
