"""`xpnet search` and `xpnet train --ensemble`."""

import json
import re

import numpy as np
import pytest

import xpnet as xn
from tests.cli.files import PNG, flowers, mnist, prices, xpnet
from xpnet.commands.grid import parse

GRID = "learning_rate=1e-2,3e-2 l2=0,1e-4 hidden=8;8,4"
QUICK = ("--epochs", 2, "--folds", 3, "--device", "cpu")


def test_a_grid_is_searched_and_the_best_is_tested(capsys):
    status, out, err = xpnet(capsys, "search", "digits", "--grid", GRID, *QUICK)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "digits: 1438 to search on, 359 to test on; cpu"
    assert lines[1] == "y: 10 classes, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    lines = lines[1:]
    assert lines[2].split()[:4] == ["rank", "learning_rate", "l2", "hidden"]
    ranks = [line.split()[0] for line in lines[3:11]]
    assert ranks == [str(i) for i in range(1, 9)]
    means = [float(line.split()[4]) for line in lines[3:11]]
    assert means == sorted(means, reverse=True)
    assert re.match(r"the best, on the test part .*accuracy 0\.\d+$", lines[11])


def test_json_is_one_object_and_equal_seeds_give_equal_results(capsys):
    arguments = ("search", "moons", "--grid", "learning_rate=1e-3..1e-1 hidden=4;8")
    found = []
    for _ in range(2):
        status, out, err = xpnet(
            capsys, *arguments, "--random", 3, "--json", "--repeats", 2, *QUICK
        )
        assert (status, err) == (0, "")
        found.append(json.loads(out))
    assert found[0] == found[1]
    assert len(found[0]["trials"]) == 3
    assert all(len(t["scores"]) == 6 for t in found[0]["trials"])
    assert found[0]["data"] == "moons"


def test_the_best_is_saved_with_its_scaling(capsys, tmp_path):
    file, _, names = flowers(tmp_path / "flowers.csv")
    status, out, err = xpnet(
        capsys, "search", file, "--grid", "learning_rate=1e-2,3e-2 hidden=8",
        "--save", tmp_path / "best", "--plot", tmp_path / "p.png", *QUICK,
        "--epochs", 20,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "xpnet predict" in out
    assert (tmp_path / "p.png").read_bytes()[:8] == PNG
    status, out, _ = xpnet(capsys, "predict", tmp_path / "best", file, "--json")
    rows = json.loads(out)["predictions"]
    right = [row["prediction"] == name for row, name in zip(rows, names, strict=True)]
    assert np.mean(right) > 0.9


def test_a_regression_is_searched_in_its_own_units(capsys, tmp_path):
    file, _ = prices(tmp_path / "prices.csv")
    status, out, err = xpnet(
        capsys, "search", file, "--grid",
        "learning_rate=3e-2 hidden=16 schedule=cosine",
        "--save", tmp_path / "best", *QUICK, "--epochs", 40, "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record["monitor"] == "r2"
    assert record["test"]["r2"] > 0.95
    assert record["test"]["mean_absolute_error"] > 100.0
    assert record["test"]["loss"] < 0.1
    _, out, _ = xpnet(capsys, "predict", tmp_path / "best", file, "--json")
    values = [row["prediction"] for row in json.loads(out)["predictions"]]
    assert 20_000 < np.mean(values) < 200_000


def test_data_with_a_test_part_of_its_own_are_tested_on_it(capsys, tmp_path):
    folder = mnist(tmp_path / "images")
    status, out, err = xpnet(
        capsys, "search", folder, "--grid", "learning_rate=1e-2 hidden=8", *QUICK,
        "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record["test"]["accuracy"] > 0.8


def test_halving_and_a_file_to_go_on_with(capsys, tmp_path):
    status, out, _ = xpnet(
        capsys, "search", "moons", "--grid", "learning_rate=1e-3..1e-1", "--halving", 4,
        *QUICK, "--epochs", 9,
    )  # fmt: skip
    assert status == 0
    assert "stopped after" in out
    file = tmp_path / "search.jsonl"
    texts = []
    for _ in range(2):
        _, out, _ = xpnet(
            capsys, "search", "moons", "--grid", "l2=0,0.1", "--file", file, *QUICK
        )
        texts.append(out)
    assert texts[0] == texts[1]
    assert len(file.read_text().splitlines()) == 1 + 6


@pytest.mark.parametrize(("grid", "extra", "message"), [
    ("learning_rat=1", (), "unknown setting 'learning_rat'; did you mean"),
    ("learning_rate=fast", (), "learning_rate: expected numbers, got 'fast'"),
    ("hidden=a", (), "widths such as 128,64"),
    ("epochs=1.5", (), "epochs: expected whole numbers"),
    ("l2", (), "expected name=values"),
    ("l2=", (), "l2: expected numbers"),
    ("l2=0 l2=1", (), "once, got it twice"),
    ("", (), "got none"),
    ("l2=1e-4..1e-2", (), "add --random N"),
    ("l2=0", ("--folds", 999), "folds"),
    ("l2=0", ("--folds", 1), "folds"),
    ("l2=0", ("--test", 1.5), "--test"),
    ("l2=0", ("--halving", 3, "--file", "f"), "--halving: expected neither"),
    ("l2=0", ("--monitor", "acc"), "did you mean 'accuracy'"),
    ("l2=0", ("--batch-size", 0), "--batch-size: expected at least 1"),
    ("hidden=9999999999", (), "more than the limit"),
    ("l2=-1", (), "setting l2=-1"),
    ("optimizer=sdg", (), "did you mean 'sgd'"),
    ("l2=0", ("--random", 2, "--halving", 2), "not allowed with"),
    ("l2=0", ("--plot", "x.xyz"), "--plot"),
])  # fmt: skip
def test_bad_input_is_one_line(capsys, grid, extra, message):
    status, _, err = xpnet(capsys, "search", "moons", "--grid", grid, *extra)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err


def test_the_text_of_a_grid():
    found = parse("hidden=64;128,64;none activation=relu,tanh epochs=5..9 l2=0,1e-4")
    assert found["hidden"] == [(64,), (128, 64), ()]
    assert found["activation"] == ["relu", "tanh"]
    assert found["epochs"] == xn.LogUniform(5, 9, whole=True)
    assert found["l2"] == [0.0, 1e-4]
    assert parse("dropout=0..0.5") == {"dropout": xn.Uniform(0.0, 0.5)}


# Ensembles.


def test_an_ensemble_is_trained_scored_and_calibrated(capsys, tmp_path):
    arguments = ("train", "digits", "--ensemble", 3, "--epochs", 4, "--hidden", "32",
                 "--device", "cpu")  # fmt: skip
    status, out, err = xpnet(
        capsys, *arguments, "--save", tmp_path / "e", "--plot", tmp_path / "r.png",
        "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    record = json.loads(out)
    alone = [scores["accuracy"] for scores in record["member_scores"]]
    assert record["members"] == len(alone) == 3
    assert record["scores"]["accuracy"] > np.mean(alone)
    assert record["samples"] == np.sum(record["confusion_matrix"]) == 359
    assert record["calibration_error_tempered"] < record["calibration_error"]
    assert (tmp_path / "r.png").read_bytes()[:8] == PNG
    _, text, _ = xpnet(capsys, *arguments)
    assert f"{record['scores']['accuracy']:.4g} for the mean of 3 networks" in text
    ensemble = xn.Ensemble.load(tmp_path / "e", "cpu")
    x, _ = xn.datasets.digits()
    status, out, _ = xpnet(capsys, "predict", tmp_path / "e", "digits", "--json")
    rows = json.loads(out)["predictions"]
    assert [row["prediction"] for row in rows] == ensemble.predict_classes(x).tolist()
    assert rows[0]["disagreement"] == pytest.approx(
        ensemble.uncertainty(x).disagreement[0], abs=1e-6
    )


def test_an_ensemble_of_a_regression_predicts_in_its_own_units(capsys, tmp_path):
    file, rows = prices(tmp_path / "prices.csv")
    status, out, err = xpnet(
        capsys, "train", file, "--ensemble", 3, "--epochs", 30, "--hidden", "16",
        "--learning-rate", 0.03, "--device", "cpu", "--save", tmp_path / "e",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "disagreement" in out
    assert "calibration" not in out
    _, out, _ = xpnet(capsys, "predict", tmp_path / "e", file, "--json")
    values = [row["prediction"] for row in json.loads(out)["predictions"]]
    assert np.corrcoef(values, rows[:, 2])[0, 1] > 0.97
    assert np.mean(values) == pytest.approx(rows[:, 2].mean(), rel=0.1)


def test_an_ensemble_has_at_least_one_network(capsys):
    status, _, err = xpnet(capsys, "train", "digits", "--ensemble", 0)
    assert status == 2
    assert "--ensemble: expected a whole number >= 1" in err


@pytest.mark.filterwarnings("default")
def test_a_file_gives_no_scores_of_another_dtype(capsys, tmp_path):
    file = tmp_path / "search.jsonl"
    command = ("search", "moons", "--grid", "l2=0", *QUICK)
    _, wanted, _ = xpnet(capsys, *command, "--dtype", "float64")
    xpnet(capsys, *command, "--file", file)
    _, out, told = xpnet(capsys, *command, "--dtype", "float64", "--file", file)
    assert "3 of its results are of other networks" in told
    assert out == wanted
