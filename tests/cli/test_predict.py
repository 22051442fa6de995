"""`xpnet predict`: a line a sample, from what `train --save` kept."""

import csv
import io
import json

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import QUICK, flowers, mnist, prices, write_csv, xpnet


def predictions(capsys, model, data):
    """The rows that are printed, once it is sure that --json says the same."""
    status, out, err = xpnet(capsys, "predict", model, data)
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    record = json.loads(xpnet(capsys, "predict", model, data, "--json")[1])
    assert record["model"] == str(model)
    assert len(record["predictions"]) == len(rows)
    for said, row in zip(record["predictions"], rows, strict=True):
        assert list(said) == list(row)
        for name, value in said.items():
            if isinstance(value, float):
                assert float(row[name]) == pytest.approx(value, rel=1e-5)
            else:
                assert row[name] == str(value)
    return rows


def train(capsys, data, directory, *options):
    arguments = ("--save", directory, "--device", "cpu", *options)
    status, _, err = xpnet(capsys, "train", data, *arguments)
    assert (status, err) == (0, "")
    return directory


def test_digits(capsys, tmp_path):
    model = train(capsys, "digits", tmp_path / "m", "--epochs", 10)
    rows = predictions(capsys, model, "digits")
    _, y = xn.datasets.digits()
    predicted = np.array([int(row["prediction"]) for row in rows])
    assert (predicted == y).mean() > 0.95
    shares = np.array([float(row["probability"]) for row in rows])
    assert (shares > 0.1).all()
    assert (shares <= 1.0).all()
    x, _ = xn.datasets.digits()
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


def edit(model, **notes):
    """Change the notes of a saved model."""
    trainer = xn.Trainer.load(model, "cpu")
    trainer.notes |= notes
    trainer.save(model)


@pytest.fixture
def model(capsys, tmp_path):
    flowers(tmp_path / "flowers.csv")
    return train(capsys, tmp_path / "flowers.csv", tmp_path / "m", *QUICK)


def missing_column(model, folder):
    write_csv(folder / "x.csv", ["length", "widht", "height"], [[1, 2, 3]])


def text_cell(model, folder):
    write_csv(folder / "x.csv", ["length", "width", "height"], [[1, "two", 3]])


def no_model(model, folder):
    (model / "model.json").unlink()


def damaged(model, folder):
    next(model.glob("weights-*")).write_bytes(b"")


def few_classes(model, folder):
    edit(model, classes=["setosa"])


def bad_scaler(model, folder):
    edit(model, scaler={"kind": "standard"})


def narrow_scaler(model, folder):
    edit(model, scaler={"kind": "standard", "shift": [0.0], "scale": [1.0]})


def scaler_of_text(model, folder):
    edit(model, scaler="standard")


FAULTS = [
    (
        missing_column,
        "flowers",
        "trained on column 'width', which is missing; did you mean 'widht'?",
    ),
    (text_cell, "x.csv", "line 2, column 'width'"),
    (no_model, "x.csv", "no saved model in"),
    (damaged, "x.csv", ".safetensors is damaged"),
    (few_classes, "flowers.csv", "classes"),
    (bad_scaler, "flowers.csv", "scaler: expected"),
    (narrow_scaler, "flowers.csv", "scaler"),
    (scaler_of_text, "flowers.csv", "scaler"),
    (None, "nowhere.csv", "expected a file, found none"),
    (None, "digits", "expected 3 features"),
]


@pytest.mark.parametrize(
    ("fault", "data", "message"), FAULTS, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_bad_input_ends_with_one_line(fault, data, message, model, capsys, tmp_path):
    if fault is not None:
        fault(model, tmp_path)
    builtin = data == "digits"
    file = data if builtin else tmp_path / (data if "." in data else "x.csv")
    for flags in ((), ("--json",)):
        status, out, err = xpnet(capsys, "predict", model, file, *flags)
        assert status == 2
        assert out == ""
        assert err.startswith("xpnet: error: ")
        assert err.count("\n") == 1
        assert message in err
