"""`xpnet search` and `xpnet train --ensemble`."""

import re

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import (
    PNG,
    answered,
    flowers,
    mnist,
    prices,
    printed,
    refused,
    xpnet,
)
from xpnet.commands.search import parse

GRID = "learning_rate=1e-2,3e-2 l2=0,1e-4 hidden=8;8,4"
QUICK = ("--epochs", 2, "--folds", 3, "--device", "cpu")


def test_a_grid_is_searched_and_the_best_is_tested(capsys):
    out = printed(capsys, "search", "digits", "--grid", GRID, *QUICK)
    lines = out.splitlines()
    assert lines[0] == "digits: 1438 to search on, 359 to test on; cpu"
    assert lines[1] == "y: 10 classes, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert lines[3].split()[:4] == ["rank", "learning_rate", "l2", "hidden"]
    rows = [line.split() for line in lines[4:12]]
    assert [row[0] for row in rows] == [str(i) for i in range(1, 9)]
    means = [float(row[4]) for row in rows]
    assert means == sorted(means, reverse=True)
    assert re.match(r"the best, on the test part .*accuracy 0\.\d+$", lines[12])


def test_json_is_one_object_and_equal_seeds_give_equal_results(capsys):
    ranges = ("--grid", "learning_rate=1e-3..1e-1 hidden=4;8", "--random", 3)
    asked = ("search", "moons", *ranges, "--repeats", 2, *QUICK)
    found = answered(capsys, *asked)
    assert answered(capsys, *asked) == found
    assert len(found["trials"]) == 3
    assert all(len(t["scores"]) == 6 for t in found["trials"])
    assert found["data"] == "moons"


def predicted(capsys, *arguments):
    return [
        row["prediction"]
        for row in answered(capsys, "predict", *arguments)["predictions"]
    ]


def test_the_best_is_saved_with_its_scaling(capsys, tmp_path):
    file, _, names = flowers(tmp_path / "flowers.csv")
    grid = ("--grid", "learning_rate=1e-2,3e-2 hidden=8")
    kept = ("--save", tmp_path / "best", "--plot", tmp_path / "p.png")
    out = printed(capsys, "search", file, *grid, *kept, *QUICK, "--epochs", 20)
    assert "xpnet predict" in out
    assert (tmp_path / "p.png").read_bytes()[:8] == PNG
    assert np.mean(predicted(capsys, tmp_path / "best", file) == names) > 0.9


def test_a_regression_is_searched_in_its_own_units(capsys, tmp_path):
    file, _ = prices(tmp_path / "prices.csv")
    grid = ("--grid", "learning_rate=3e-2 hidden=16 schedule=cosine")
    kept = ("--save", tmp_path / "best")
    record = answered(capsys, "search", file, *grid, *kept, *QUICK, "--epochs", 40)
    assert record["monitor"] == "r2"
    assert record["test"]["r2"] > 0.95
    assert record["test"]["mean_absolute_error"] > 100.0
    assert record["test"]["loss"] < 0.1
    assert 20_000 < np.mean(predicted(capsys, tmp_path / "best", file)) < 200_000


def test_data_with_a_test_part_of_its_own_are_tested_on_it(capsys, tmp_path):
    folder = mnist(tmp_path / "images")
    grid = ("--grid", "learning_rate=1e-2 hidden=8")
    record = answered(capsys, "search", folder, *grid, *QUICK)
    assert record["test"]["accuracy"] > 0.8


def test_halving_and_a_file_to_go_on_with(capsys, tmp_path):
    grid = ("--grid", "learning_rate=1e-3..1e-1", "--halving", 4)
    out = printed(capsys, "search", "moons", *grid, *QUICK, "--epochs", 9)
    assert "stopped after" in out
    file = tmp_path / "search.jsonl"
    asked = ("search", "moons", "--grid", "l2=0,0.1", "--file", file, *QUICK)
    assert printed(capsys, *asked) == printed(capsys, *asked)
    assert len(file.read_text().splitlines()) == 1 + 6


BAD_GRIDS = {
    "learning_rat=1": "unknown setting 'learning_rat'; did you mean",
    "learning_rate=fast": "learning_rate: expected numbers, got 'fast'",
    "hidden=a": "widths such as 128,64",
    "epochs=1.5": "epochs: expected whole numbers",
    "l2": "expected name=values",
    "l2=": "l2: expected numbers",
    "l2=0 l2=1": "once, got it twice",
    "": "got none",
    "l2=1e-4..1e-2": "add --random N",
    "hidden=9999999999": "more than the limit",
    "l2=-1": "setting l2=-1",
    "optimizer=sdg": "did you mean 'sgd'",
}
BAD_OPTIONS = {
    ("--folds", 999): "folds",
    ("--folds", 1): "folds",
    ("--test", 1.5): "--test",
    ("--halving", 3, "--file", "f"): "--halving: expected neither",
    ("--monitor", "acc"): "did you mean 'accuracy'",
    ("--batch-size", 0): "--batch-size: expected at least 1",
    ("--random", 2, "--halving", 2): "not allowed with",
    ("--plot", "x.xyz"): "--plot",
}


def test_bad_input_is_one_line(capsys):
    bad = [(grid, (), message) for grid, message in BAD_GRIDS.items()]
    bad += [("l2=0", option, message) for option, message in BAD_OPTIONS.items()]
    for grid, option, message in bad:
        status, _, err = xpnet(capsys, "search", "moons", "--grid", grid, *option)
        assert (status, err.count("\n")) == (2, 1)
        assert message in err
    ensemble = ("train", "digits", "--ensemble", 0)
    assert "--ensemble: expected a whole number >= 1" in refused(capsys, *ensemble)


def test_the_text_of_a_grid():
    found = parse("hidden=64;128,64;none activation=relu,tanh epochs=5..9 l2=0,1e-4")
    assert found["hidden"] == [(64,), (128, 64), ()]
    assert found["activation"] == ["relu", "tanh"]
    assert found["epochs"] == xn.LogUniform(5, 9, whole=True)
    assert found["l2"] == [0.0, 1e-4]
    assert parse("dropout=0..0.5") == {"dropout": xn.Uniform(0.0, 0.5)}


# Ensembles.


def test_an_ensemble_is_trained_scored_and_calibrated(capsys, tmp_path):
    few = ("--ensemble", 3, "--epochs", 4, "--hidden", "32", "--device", "cpu")
    kept = ("--save", tmp_path / "e", "--plot", tmp_path / "r.png")
    record = answered(capsys, "train", "digits", *few, *kept)
    alone = [scores["accuracy"] for scores in record["member_scores"]]
    assert record["members"] == len(alone) == 3
    assert record["scores"]["accuracy"] > np.mean(alone)
    assert record["samples"] == np.sum(record["confusion_matrix"]) == 359
    assert record["calibration_error_tempered"] < record["calibration_error"]
    assert (tmp_path / "r.png").read_bytes()[:8] == PNG
    text = printed(capsys, "train", "digits", *few)
    assert f"{record['scores']['accuracy']:.4g} for the mean of 3 networks" in text
    ensemble = xn.Ensemble.load(tmp_path / "e", "cpu")
    x, _ = xn.datasets.digits()
    rows = answered(capsys, "predict", tmp_path / "e", "digits")["predictions"]
    assert [row["prediction"] for row in rows] == ensemble.predict_classes(x).tolist()
    unsure = ensemble.uncertainty(x).disagreement[0]
    assert rows[0]["disagreement"] == pytest.approx(unsure, abs=1e-6)


def test_an_ensemble_of_a_regression_predicts_in_its_own_units(capsys, tmp_path):
    file, rows = prices(tmp_path / "prices.csv")
    options = ("--epochs", 30, "--hidden", "16", "--learning-rate", 0.03)
    kept = ("--device", "cpu", "--save", tmp_path / "e")
    out = printed(capsys, "train", file, "--ensemble", 3, *options, *kept)
    assert "disagreement" in out
    assert "calibration" not in out
    values = predicted(capsys, tmp_path / "e", file)
    assert np.corrcoef(values, rows[:, 2])[0, 1] > 0.97
    assert np.mean(values) == pytest.approx(rows[:, 2].mean(), rel=0.1)


@pytest.mark.filterwarnings("default")
def test_a_file_gives_no_scores_of_another_dtype(capsys, tmp_path):
    file = tmp_path / "search.jsonl"
    command = ("search", "moons", "--grid", "l2=0", *QUICK)
    _, wanted, _ = xpnet(capsys, *command, "--dtype", "float64")
    xpnet(capsys, *command, "--file", file)
    _, out, told = xpnet(capsys, *command, "--dtype", "float64", "--file", file)
    assert "3 of its results are of other networks" in told
    assert out == wanted
