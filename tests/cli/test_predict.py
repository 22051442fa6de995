"""`xpnet predict`: a line a sample, from what `train --save` kept."""

import csv
import io

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import (
    QUICK,
    answered,
    flowers,
    mnist,
    prices,
    printed,
    refused,
    write_csv,
)


def predictions(capsys, model, data):
    """The rows that are printed, once it is sure that --json says the same."""
    out = printed(capsys, "predict", model, data)
    rows = list(csv.DictReader(io.StringIO(out)))
    record = answered(capsys, "predict", model, data)
    assert record["model"] == str(model)
    for said, row in zip(record["predictions"], rows, strict=True):
        assert list(said) == list(row)
        for name, value in said.items():
            if isinstance(value, float):
                assert float(row[name]) == pytest.approx(value, rel=1e-5)
            else:
                assert row[name] == str(value)
    return rows


def train(capsys, data, directory, *options):
    printed(capsys, "train", data, "--save", directory, "--device", "cpu", *options)
    return directory


def test_digits(capsys, tmp_path):
    model = train(capsys, "digits", tmp_path / "m", "--epochs", 10)
    rows = predictions(capsys, model, "digits")
    x, y = xn.datasets.digits()
    predicted = np.array([int(row["prediction"]) for row in rows])
    assert (predicted == y).mean() > 0.95
    shares = np.array([float(row["probability"]) for row in rows])
    assert 0.1 < shares.min() <= shares.max() <= 1.0
    np.savez(tmp_path / "some.npz", x=x[:50])
    assert predictions(capsys, model, tmp_path / "some.npz") == rows[:50]


def test_a_table_in_any_order_of_columns(capsys, tmp_path):
    path, x, names = flowers(tmp_path / "flowers.csv")
    model = train(capsys, path, tmp_path / "m", "--epochs", 30)
    rows = predictions(capsys, model, path)  # the target's column is passed over
    assert np.mean([row["prediction"] for row in rows] == names) > 0.9
    assert {row["prediction"] for row in rows} == set(names)
    shuffled = write_csv(
        tmp_path / "shuffled.csv",
        ["height", "note", "length", "width"],
        [[repr(float(h)), "?", float(a), float(b)] for a, b, h in x],
    )
    assert predictions(capsys, model, shuffled) == rows
    bare = write_csv(tmp_path / "bare.csv", ["length", "width", "height"], x.tolist())
    assert predictions(capsys, model, bare) == rows


def test_a_regression_answers_in_its_own_units(capsys, tmp_path):
    path, values = prices(tmp_path / "prices.csv")
    model = train(capsys, path, tmp_path / "m", "--epochs", 100)
    found = [float(row["prediction"]) for row in predictions(capsys, model, path)]
    assert np.abs(found - values[:, 2]).mean() < 0.1 * values[:, 2].std()


def test_several_outputs_have_a_column_each(capsys, tmp_path):
    x = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    y = np.stack([100.0 * x[:, 0], x[:, 1] - 50.0], axis=1)
    np.savez(tmp_path / "two.npz", x=x, y=y)
    model = train(capsys, tmp_path / "two.npz", tmp_path / "m", "--epochs", 100)
    rows = predictions(capsys, model, tmp_path / "two.npz")
    found = np.array([[float(r["output_0"]), float(r["output_1"])] for r in rows])
    assert np.abs(found - y).mean(axis=0) == pytest.approx([0.0, 0.0], abs=15.0)
    assert np.abs(found[:, 1] - y[:, 1]).max() < 1.0


def test_images(capsys, tmp_path):
    folder = mnist(tmp_path / "mnist")
    model = train(capsys, folder, tmp_path / "m", "--epochs", 20)
    images = folder / "t10k-images-idx3-ubyte"
    rows = predictions(capsys, model, images)
    assert [int(row["prediction"]) for row in rows] == [i % 2 for i in range(40)]
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert predictions(capsys, model, images) == rows


HEADER = ["length", "width", "height"]
# What is wrong with a model: the notes that were changed.
NOTES = {
    "classes": {"classes": ["setosa"]},
    "scaler: expected": {"scaler": {"kind": "standard"}},
    "scaler": {"scaler": {"kind": "standard", "shift": [0.0], "scale": [1.0]}},
    "scaler: ": {"scaler": "standard"},
}


def test_bad_input_ends_with_one_line(capsys, tmp_path):
    flowers(tmp_path / "flowers.csv")
    model = train(capsys, tmp_path / "flowers.csv", tmp_path / "m", *QUICK)
    renamed = ["length", "widht", "height"]
    write_csv(tmp_path / "column.csv", renamed, [[1, 2, 3]])
    write_csv(tmp_path / "text.csv", HEADER, [[1, "two", 3]])

    def says(message, data="flowers.csv"):
        data = data if data == "digits" else tmp_path / data
        for flags in ((), ("--json",)):
            assert message in refused(capsys, "predict", model, data, *flags)

    missing = "trained on column 'width', which is missing; did you mean 'widht'?"
    says(missing, "column.csv")
    says("line 2, column 'width'", "text.csv")
    says("expected a file, found none", "nowhere.csv")
    says("expected 3 features", "digits")
    good = xn.Trainer.load(model, "cpu").notes
    for message, change in NOTES.items():
        trainer = xn.Trainer.load(model, "cpu")
        trainer.notes |= good | change
        trainer.save(model)
        says(message)
    next(model.glob("weights-*")).write_bytes(b"")
    says(".safetensors is damaged")
    (model / "model.json").unlink()
    says("no saved model in")
