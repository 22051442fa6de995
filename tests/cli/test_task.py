"""What the command line takes a target for, says of it, and makes of it."""

import csv
import io
import json
import re

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import (
    FEW,
    answered,
    flowers,
    printed,
    refused,
    write_csv,
    xpnet,
)
from xpnet.commands.report import print_json

ROWS = np.random.Generator(np.random.Philox(3)).normal(size=(120, 3))
KINDS = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 0)
HOT = np.eye(3)[KINDS]
YES_NO = (ROWS > [0.0, 0.5, -0.5]).astype(np.uint8)


def table(path, values):
    rows = [[*map(float, row), value] for row, value in zip(ROWS, values, strict=True)]
    return write_csv(path, ["a", "b", "c", "y"], rows)


def archive(path, y):
    np.savez(path, x=ROWS, y=y)
    return path


TARGETS = {
    "text": (table, ["x", "y", "z"], "classification", "3 classes, x, y, z"),
    "codes": (table, [0, 1, 2], "classification", "3 classes, 0, 1, 2; --task says"),
    "from 1": (table, [1, 2, 3], "classification", "3 classes, 1, 2, 3; --task says"),
    "fractions": (table, [0.5, 1, 2], "regression", "from 0.5 to 2 (regression)"),
    "one-hot": (archive, HOT, "classification", "3 classes, 0, 1, 2; --task says"),
    "yes/no": (archive, YES_NO, "multilabel", "3 yes/no labels a sample; --task says"),
    "rows": (archive, ROWS[:, :2], "regression", "2 outputs (regression)"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_is_taken_for_what_it_is_and_said(name, tmp_path, capsys):
    make, values, task, text = TARGETS[name]
    if make is table:
        path = table(tmp_path / "t.csv", [values[k] for k in KINDS])
    else:
        path = archive(tmp_path / "t.npz", values)
    outputs = {"rows": 2, "yes/no": 3}.get(name, 1)
    grid = ("--grid", "l2=0", "--folds", "2", "--epochs", "1", "--device", "cpu")
    out = printed(capsys, "search", path, *grid)
    assert re.search(f"^y: .*{re.escape(text)}", out, re.M)
    for i, arguments in enumerate(
        (("train", path, *FEW), ("train", path, *FEW, "--ensemble", 2))
    ):
        kept = ("--save", tmp_path / f"m{i}")
        out = printed(capsys, *arguments, *kept)
        assert re.search(f"^y: .*{re.escape(text)}", out, re.M)
        rows = answered(capsys, "predict", tmp_path / f"m{i}", path)["predictions"]
        assert len(rows) == 120
        found = [n for n in rows[0] if n.startswith(("out", "label", "pred"))]
        assert len(found) == outputs
    _, out, _ = xpnet(capsys, "doctor", path, *FEW, "--json")
    assert json.loads(out)["task"] == task
    assert answered(capsys, *arguments)["task"] == task


UNDECIDED = {
    "uniform": np.arange(120) % 20 + 1,
    "falling": np.minimum(np.arange(120) // 30, 4) * (np.arange(120) > 5),
}


def asked_of(command, path):
    """The arguments of a command that reads the table."""
    if command == "compare":
        return (command, "cpu:1", "cpu:2", "--data", path)
    return (command, path, *(("--grid", "l2=0") if command == "search" else ()))


@pytest.mark.parametrize("command", ["train", "doctor", "search", "compare"])
def test_where_the_data_do_not_decide_the_command_asks(command, tmp_path, capsys):
    path = table(tmp_path / "t.csv", UNDECIDED["uniform"])
    err = refused(capsys, *asked_of(command, path))
    assert "20 different whole numbers from 1 to 20 in 120 samples" in err
    assert "classification or regression (--task" in err
    if command != "compare":
        for value in ("4", "2.5", "same"):
            path = table(tmp_path / "t.csv", [value] * 120)
            err = refused(capsys, *asked_of(command, path))
            assert "hint: choose another target" in err


def test_the_answer_is_taken(tmp_path, capsys):
    path = table(tmp_path / "t.csv", UNDECIDED["uniform"])
    assert "r2" in answered(capsys, "train", path, *FEW, "--task", "regression")
    classes = ("--task", "classification")
    assert len(answered(capsys, "train", path, *FEW, *classes)["classes"]) == 20
    path = table(tmp_path / "t.csv", [*UNDECIDED["uniform"][:-1], 21])
    err = refused(capsys, "train", path, *FEW, *classes)
    assert "class 21: expected at least 3 samples" in err
    assert "--task regression" in err
    words = table(tmp_path / "w.csv", ["a", "b"] * 59 + ["a", "c"])
    err = refused(capsys, "train", words, *FEW)
    assert "class 'c': expected at least 3 samples" in err
    assert "--task regression" not in err


def test_yes_no_labels_are_learnt(tmp_path, capsys):
    path = archive(tmp_path / "t.npz", YES_NO)
    options = ("--epochs", 60, "--hidden", "16", "--learning-rate", 0.03)
    out = printed(capsys, "train", path, *options, "--save", tmp_path / "m")
    shares = re.findall(r"^test (binary accuracy|exact match): ([\d.]+)%", out, re.M)
    assert [name for name, _ in shares] == ["binary accuracy", "exact match"]
    assert float(shares[0][1]) > 85.0
    assert float(shares[1][1]) <= float(shares[0][1])
    trainer = xn.Trainer.load(tmp_path / "m", "cpu")
    assert isinstance(trainer.loss_function, xn.BinaryCrossEntropy)
    rows = probabilities(capsys, tmp_path / "m", path)
    names = [f"{what}_{i}" for what in ("label", "probability") for i in range(3)]
    assert list(rows[0]) == names
    found = np.array([[int(row[f"label_{i}"]) for i in range(3)] for row in rows])
    p = np.array([[float(row[f"probability_{i}"]) for i in range(3)] for row in rows])
    assert (found == YES_NO).mean() > 0.85
    assert ((p >= 0.5) == found).all()


def probabilities(capsys, *arguments):
    out = printed(capsys, "predict", *arguments, "--probabilities")
    return list(csv.DictReader(io.StringIO(out)))


def test_every_probability_is_printed_on_request(tmp_path, capsys):
    path, _, _ = flowers(tmp_path / "flowers.csv")
    names = ["iris, blue", "setosa", "élan"]
    for more in ((), ("--ensemble", 2)):
        folder = tmp_path / f"m{len(more)}"
        printed(capsys, "train", path, *FEW, "--save", folder, *more)
        rows = probabilities(capsys, folder, path)
        columns = ["prediction", "probability", *(f"probability_{n}" for n in names)]
        assert list(rows[0])[:5] == columns
        for row in rows:
            shares = {name: float(row[f"probability_{name}"]) for name in names}
            assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
            assert max(shares, key=shares.get) == row["prediction"]
            assert shares[row["prediction"]] == float(row["probability"])
    printed(capsys, "train", "line", *FEW, "--save", tmp_path / "numbers")
    asked = ("predict", tmp_path / "numbers", "line", "--probabilities")
    expected = "--probabilities: expected a model that classifies"
    assert expected in refused(capsys, *asked)


def test_labels_are_not_smoothed_unless_asked_for(tmp_path, capsys):
    for command in ("train", "doctor"):
        for more, expected in (((), 0.0), (("--label-smoothing", 0.1), 0.1)):
            kept = ("--save", tmp_path / "m")
            xpnet(capsys, command, "digits", *FEW, *more, *kept)
            loss = xn.Trainer.load(tmp_path / "m", "cpu").loss_function
            assert loss.label_smoothing == expected


@pytest.mark.slow
def test_probabilities_that_are_printed_are_calibrated(capsys):
    asked = ("train", "digits", "--ensemble", 1, "--epochs", 30)
    assert answered(capsys, *asked)["calibration_error"] < 0.03


def test_json_has_no_nan(capsys):
    print_json({"r2": float("nan"), "rows": [{"loss": float("inf"), "n": 1}]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "r2": None, "rows": [{"loss": None, "n": 1}]
    }  # fmt: skip


def test_images_that_memory_cannot_hold_are_refused(tmp_path, capsys, monkeypatch):
    """The file itself is only mapped; its samples as numbers would be copies."""
    printed(capsys, "train", "moons", *FEW, "--save", tmp_path / "m")
    header = bytes([0, 0, 8, 2]) + (1000).to_bytes(4, "big") + (800).to_bytes(4, "big")
    path = tmp_path / "images-idx2-ubyte"
    path.write_bytes(header + bytes(800_000))
    labels = bytes([0, 0, 8, 1]) + (1000).to_bytes(4, "big") + bytes([0, 1] * 500)
    (tmp_path / "labels-idx2-ubyte").write_bytes(labels)
    monkeypatch.setenv("XPNET_MAX_BYTES", str(4_000_000))
    predict = ("predict", tmp_path / "m", path)
    others = ("train", "doctor", "search", "compare")
    for arguments in (predict, *(asked_of(command, path) for command in others)):
        err = refused(capsys, *arguments)
        assert "would take" in err
        assert "XPNET_MAX_BYTES" in err
