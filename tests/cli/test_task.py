"""What the command line takes a target for, says of it, and makes of it."""

import csv
import io
import json
import re

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import flowers, write_csv, xpnet
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
    outputs = 2 if name == "rows" else 1 if task == "regression" else 3
    grid = ("--grid", "l2=0", "--folds", "2", "--epochs", "1", "--device", "cpu")
    for arguments in (
        ("train", path, *FEW),
        ("train", path, *FEW, "--ensemble", 2),
        ("doctor", path, *FEW),
        ("search", path, *grid),
    ):
        status, out, err = xpnet(capsys, *arguments)
        assert (status in (0, arguments[0] == "doctor"), err) == (True, "")
        assert re.search(f"^y: .*{re.escape(text)}", out, re.M)
        if arguments[0] != "search":
            out = xpnet(capsys, *arguments, "--json", "--save", tmp_path / "m")[1]
            assert json.loads(out)["task"] == task
            status, out, err = xpnet(capsys, "predict", tmp_path / "m", path, "--json")
            assert (status, err) == (0, "")
            rows = json.loads(out)["predictions"]
            assert len(rows) == 120
            assert len(
                [n for n in rows[0] if n.startswith(("out", "label", "pred"))]
            ) == (1 if task == "classification" else outputs)
            folder = tmp_path / "m"
            for file in sorted(folder.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()


UNDECIDED = {
    "uniform": np.arange(120) % 20 + 1,
    "falling": np.minimum(np.arange(120) // 30, 4) * (np.arange(120) > 5),
}


@pytest.mark.parametrize("command", ["train", "doctor", "search", "compare"])
def test_where_the_data_do_not_decide_the_command_asks(command, tmp_path, capsys):
    path = table(tmp_path / "t.csv", UNDECIDED["uniform"])
    where = ("cpu:1", "cpu:2", "--data", path) if command == "compare" else (path,)
    more = ("--grid", "l2=0") if command == "search" else ()
    status, out, err = xpnet(capsys, command, *where, *more)
    assert (status, out) == (2, "")
    assert "20 different whole numbers from 1 to 20 in 120 samples" in err
    assert "classification or regression (--task" in err
    assert err.count("\n") == 1


def test_the_answer_is_taken(tmp_path, capsys):
    path = table(tmp_path / "t.csv", UNDECIDED["uniform"])
    _, out, _ = xpnet(capsys, "train", path, *FEW, "--task", "regression", "--json")
    assert "r2" in json.loads(out)
    _, out, _ = xpnet(capsys, "train", path, *FEW, "--task", "classification", "--json")
    assert len(json.loads(out)["classes"]) == 20


def test_a_class_too_small_names_regression_as_a_cure(tmp_path, capsys):
    values = [*UNDECIDED["uniform"][:-1], 21]
    path = table(tmp_path / "t.csv", values)
    status, _, err = xpnet(capsys, "train", path, *FEW, "--task", "classification")
    assert status == 2
    assert "class 21: expected at least 3 samples" in err
    assert "--task regression" in err
    words = table(tmp_path / "w.csv", ["a", "b"] * 59 + ["a", "c"])
    _, _, err = xpnet(capsys, "train", words, *FEW)
    assert "class 'c': expected at least 3 samples" in err
    assert "--task regression" not in err


@pytest.mark.parametrize("command", ["train", "doctor", "search"])
@pytest.mark.parametrize("value", ["4", "2.5", "same"])
def test_a_constant_target_is_refused(command, value, tmp_path, capsys):
    path = table(tmp_path / "t.csv", [value] * 120)
    more = ("--grid", "l2=0") if command == "search" else ()
    status, out, err = xpnet(capsys, command, path, *more)
    assert (status, out) == (2, "")
    assert "hint: choose another target" in err


def test_yes_no_labels_are_learnt(tmp_path, capsys):
    path = archive(tmp_path / "t.npz", YES_NO)
    options = ("--epochs", 60, "--hidden", "16", "--learning-rate", 0.03)
    arguments = ("train", path, *options, "--save", tmp_path / "m")
    status, out, err = xpnet(capsys, *arguments)
    assert (status, err) == (0, "")
    shares = re.findall(r"^test (binary accuracy|exact match): ([\d.]+)%", out, re.M)
    assert [name for name, _ in shares] == ["binary accuracy", "exact match"]
    assert float(shares[0][1]) > 85.0
    assert float(shares[1][1]) <= float(shares[0][1])
    trainer = xn.Trainer.load(tmp_path / "m", "cpu")
    assert isinstance(trainer.loss_function, xn.BinaryCrossEntropy)
    _, out, _ = xpnet(capsys, "predict", tmp_path / "m", path, "--probabilities")
    rows = list(csv.DictReader(io.StringIO(out)))
    names = [f"{what}_{i}" for what in ("label", "probability") for i in range(3)]
    assert list(rows[0]) == names
    found = np.array([[int(row[f"label_{i}"]) for i in range(3)] for row in rows])
    p = np.array([[float(row[f"probability_{i}"]) for i in range(3)] for row in rows])
    assert (found == YES_NO).mean() > 0.85
    assert ((p >= 0.5) == found).all()


def test_every_probability_is_printed_on_request(tmp_path, capsys):
    path, _, _ = flowers(tmp_path / "flowers.csv")
    for more in ((), ("--ensemble", 2)):
        folder = tmp_path / f"m{len(more)}"
        xpnet(capsys, "train", path, *FEW, "--save", folder, *more)
        _, out, _ = xpnet(capsys, "predict", folder, path, "--probabilities")
        rows = list(csv.DictReader(io.StringIO(out)))
        names = ["iris, blue", "setosa", "élan"]
        assert list(rows[0])[:5] == [
            "prediction", "probability", *(f"probability_{name}" for name in names)
        ]  # fmt: skip
        for row in rows:
            shares = {name: float(row[f"probability_{name}"]) for name in names}
            assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
            assert max(shares, key=shares.get) == row["prediction"]
            assert shares[row["prediction"]] == float(row["probability"])
    numbers = tmp_path / "numbers"
    xpnet(capsys, "train", "line", *FEW, "--save", numbers)
    status, out, err = xpnet(capsys, "predict", numbers, "line", "--probabilities")
    assert (status, out) == (2, "")
    assert "--probabilities: expected a model that classifies" in err


@pytest.mark.parametrize("command", ["train", "doctor"])
def test_labels_are_not_smoothed_unless_asked_for(command, tmp_path, capsys):
    for more, expected in (((), 0.0), (("--label-smoothing", 0.1), 0.1)):
        xpnet(capsys, command, "digits", *FEW, *more, "--save", tmp_path / "m")
        loss = xn.Trainer.load(tmp_path / "m", "cpu").loss_function
        assert loss.label_smoothing == expected


@pytest.mark.slow
def test_probabilities_that_are_printed_are_calibrated(capsys):
    out = xpnet(capsys, "train", "digits", "--ensemble", 1, "--epochs", 30, "--json")[1]
    assert json.loads(out)["calibration_error"] < 0.03


def test_json_has_no_nan(capsys):
    print_json({"r2": float("nan"), "rows": [{"loss": float("inf"), "n": 1}]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "r2": None, "rows": [{"loss": None, "n": 1}]
    }  # fmt: skip


@pytest.mark.parametrize("command", ["train", "doctor", "search", "predict", "compare"])
def test_images_that_memory_cannot_hold_are_refused(
    command, tmp_path, capsys, monkeypatch
):
    """The file itself is only mapped; its samples as numbers would be copies."""
    assert xpnet(capsys, "train", "moons", *FEW, "--save", tmp_path / "m")[0] == 0
    header = bytes([0, 0, 8, 2]) + (1000).to_bytes(4, "big") + (800).to_bytes(4, "big")
    path = tmp_path / "images-idx2-ubyte"
    path.write_bytes(header + bytes(800_000))
    labels = bytes([0, 0, 8, 1]) + (1000).to_bytes(4, "big") + bytes([0, 1] * 500)
    (tmp_path / "labels-idx2-ubyte").write_bytes(labels)
    monkeypatch.setenv("XPNET_MAX_BYTES", str(4_000_000))
    arguments = {
        "predict": (tmp_path / "m", path),
        "compare": ("cpu:1", "cpu:1", "--data", path),
        "search": (path, "--grid", "l2=0"),
    }.get(command, (path, *FEW))
    status, out, err = xpnet(capsys, command, *arguments)
    assert (status, out) == (2, "")
    assert "would take" in err
    assert "XPNET_MAX_BYTES" in err
