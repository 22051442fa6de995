"""`xpnet train`: it learns, says how well, and keeps what it learnt."""

import re

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import (
    PNG,
    QUICK,
    answered,
    flowers,
    mnist,
    prices,
    printed,
    xpnet,
)
from tests.ways import curves

TEST = re.compile(r"^test accuracy: ([\d.]+)% \((\d+) samples, never trained or", re.M)


def matrix_of(text):
    """The confusion matrix that was printed."""
    rows = re.findall(r"^ *\S+ \| (.*)$", text, re.M)
    return [[int(cell.replace(".", "0")) for cell in row.split()] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_read_without_any_option(seed, capsys):
    out = printed(capsys, "train", "digits", "--seed", seed)
    accuracy, samples = TEST.search(out).groups()
    assert float(accuracy) >= 97.5
    assert samples == "359"
    matrix = np.array(matrix_of(out))
    assert matrix.shape == (10, 10)
    assert matrix.sum() == 359
    assert 100.0 * np.trace(matrix) / 359 == pytest.approx(float(accuracy), abs=0.01)
    assert "rows: the label, columns: predicted" in out
    assert re.search(
        rf"xpnet train digits --seed {seed} --save my-model\n.*xpnet predict my-mo", out
    )


def test_text_and_json_say_the_same_and_json_nothing_else(capsys, tmp_path):
    arguments = ("train", "digits", *QUICK, "--seed", 4)
    text = printed(capsys, *arguments)
    first = text.splitlines()[0]  # what goes in and what is built is said first
    parts = re.search(r"digits: (\d+) to train on, (\d+) to choose on, 359 to", first)
    assert sum(map(int, parts.groups())) + 359 == 1797
    assert "; cpu" in first
    assert re.search(r"^total +52,\d{3}$|^total +\d{2},\d{3}$", text, re.M)
    assert len(re.findall(r"^ +[123]  ", text, re.M)) == 3  # a row an epoch
    record = answered(capsys, *arguments, "--save", tmp_path / "m")
    accuracy, samples = TEST.search(text).groups()
    assert f"{100 * record['accuracy']:.2f}" == accuracy
    assert record["samples"] == int(samples)
    assert record["confusion_matrix"] == matrix_of(text)
    assert record["classes"] == [str(i) for i in range(10)]
    assert (record["data"], record["seed"], record["part"]) == ("digits", 4, "test")
    assert (record["device"], record["stopped"]) == ("cpu", "")
    assert len(record["history"]) == 3
    losses = [row["val_loss"] for row in record["history"]]
    assert record["best_epoch"] == 1 + int(np.argmin(losses))
    assert f"weights of the best epoch, {record['best_epoch']}\n" in text
    assert xn.Trainer.load(record["saved"], "cpu").epochs_done == 3


def test_the_saved_model_is_the_one_that_was_tested(capsys, tmp_path):
    x, y = xn.datasets.digits()
    arguments = ("--save", tmp_path / "m", "--validation", 0, "--test", 0)
    record = answered(capsys, "train", "digits", *QUICK, *arguments)
    assert (record["part"], record["samples"]) == ("training", 1797)
    trainer = xn.Trainer.load(tmp_path / "m", "cpu")
    scaler = xn.MinMaxScaler.from_dict(trainer.notes["scaler"])
    predicted = trainer.predict_classes(scaler.transform(x))
    assert (predicted == y).mean() == pytest.approx(record["accuracy"])
    matrix = xn.confusion_matrix(predicted, y, 10)
    assert matrix.tolist() == record["confusion_matrix"]


def test_what_is_held_out_for_the_test_is_never_trained_on(capsys, tmp_path):
    path, _, names = flowers(tmp_path / "flowers.csv")
    record = answered(capsys, "train", path, *QUICK)
    lines = path.read_text(encoding="utf-8").splitlines()
    codes = np.unique(names, return_inverse=True)[1]
    for i in xn.split_indices(90, (0.6, 0.2, 0.2), codes)[2]:
        cells = lines[i + 1].split(",", 3)  # the features of the test part alone
        lines[i + 1] = ",".join(["9.5", "-7.5", "3.25", cells[3]])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    changed = answered(capsys, "train", path, *QUICK)
    assert curves(record["history"]) == curves(changed["history"])
    assert record["confusion_matrix"] != changed["confusion_matrix"]


def test_small_sets_are_learnt_by_heart(capsys):
    for data in ("moons", "circles", "spirals"):
        assert answered(capsys, "train", data, "--epochs", 40)["accuracy"] > 0.6
    out = printed(capsys, "train", "xor", "--epochs", 200)
    assert "training accuracy: 100.00% (4 samples, the ones trained on" in out
    out = printed(capsys, "train", "line", "--epochs", 200)
    r2 = re.search(r"^training r2: ([\d.]+) \(7 samples", out, re.M)
    assert float(r2[1]) > 0.8
    assert "columns: predicted" not in out


def test_options_reach_the_trainer(capsys, tmp_path):
    options = {
        "activation": "tanh", "dropout": 0.25, "optimizer": "sgd",
        "learning-rate": 0.03, "schedule": "constant", "l2": 0.001, "batch-size": 50,
        "dtype": "float64", "scale": "standard", "seed": 7, "hidden": "12",
        "save": tmp_path / "m", "validation": 0.3, "test": 0.1,
    }  # fmt: skip
    flags = [part for k, v in options.items() for part in (f"--{k}", v)]
    out = printed(capsys, "train", "digits", *QUICK, *flags)
    assert re.search(r"1078 to train on, 539 to choose on, 180 to test", out)
    t = xn.Trainer.load(tmp_path / "m", "cpu")
    dense, dropout, _ = t.model.layers
    assert (dense.units, dense.activation, dropout.rate) == (12, "tanh", 0.25)
    assert (type(t.optimizer), t.optimizer.l2) == (xn.SGD, 0.001)
    assert (t.learning_rate, t.dtype, t.seed) == (0.03, np.float64, 7)
    assert t.steps_done == 3 * 22
    assert t.notes["scaler"]["kind"] == "standard"


def test_patience_ends_training_early(capsys):
    arguments = ("--learning-rate", 0.05, "--schedule", "constant", "--patience", 2)
    record = answered(capsys, "train", "digits", "--epochs", 60, *arguments)
    assert len(record["history"]) == record["best_epoch"] + 2 < 60
    assert record["stopped"] == "val_loss has not improved for 2 epochs"


def test_tables_archives_and_images_train(capsys, tmp_path):
    path, _, _ = flowers(tmp_path / "flowers.csv")
    record = answered(capsys, "train", path, "--epochs", 30)
    assert record["accuracy"] > 0.9
    assert record["classes"] == sorted(["setosa", "iris, blue", "élan"])
    assert np.sum(record["confusion_matrix"]) == record["samples"] == 18
    x, y = xn.datasets.moons(100, 0.05)
    np.savez(tmp_path / "moons.npz", x=x, y=y)
    record = answered(capsys, "train", tmp_path / "moons.npz", "--epochs", 80)
    assert record["accuracy"] > 0.8
    out = printed(capsys, "train", mnist(tmp_path / "mnist"), "--epochs", 20)
    assert "64 to train on, 16 to choose on, 40 to test on" in out  # of its own
    accuracy, samples = TEST.search(out).groups()
    assert (float(accuracy), samples) == (100.0, "40")


def test_a_regression_is_scored_in_its_own_units(capsys, tmp_path):
    path, rows = prices(tmp_path / "prices.csv")
    record = answered(capsys, "train", path, "--epochs", 100)
    assert record["r2"] > 0.97
    assert record["confusion_matrix"] is None
    spread = np.abs(rows[:, 2] - rows[:, 2].mean()).mean()
    assert 100.0 < record["mean_absolute_error"] < 0.2 * spread
    by_name = answered(capsys, "train", path, *QUICK, "--target", "age")
    assert by_name["mean_absolute_error"] < 90.0


def test_the_curves_are_drawn(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"
    assert xpnet(capsys, "train", "moons", *QUICK, "--plot", path)[0] == 0
    assert path.read_bytes().startswith(PNG)
