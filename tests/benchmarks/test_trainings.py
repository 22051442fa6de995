"""Whole trainings in fresh processes."""

import pytest

from xpnet.benchmarks import trainings
from xpnet.benchmarks.cases import ACCURACY, XOR, Data
from xpnet.benchmarks.rivals import TRAINERS


@pytest.fixture(scope="module")
def xor():
    (result,) = trainings.measure("cold", TRAINERS, 1, 1, (XOR,))
    return result


@pytest.mark.parametrize("name", TRAINERS)
def test_a_rival_learns_xor_in_a_process_of_its_own(xor, name):
    row = xor["rivals"][name]
    if row.get("note", "").startswith("not installed"):
        assert name not in ("xpnet", "numpy")
        pytest.skip(row["note"])
    assert row.get("note") is None
    assert row["accuracy"] == [1.0]
    assert row["epochs"] == [2000]
    assert row["s"] > 0.0


def test_training_ends_at_the_target():
    (result,) = trainings.measure("accuracy", ("xpnet", "numpy"), 1, 1)
    for row in result["rivals"].values():
        assert row["accuracy"][0] >= ACCURACY.target
        assert 1 < row["epochs"][0] < ACCURACY.epochs


@pytest.mark.parametrize(("part", "seconds"), [("cold", 3.0), ("accuracy", 2.0)])
def test_a_cold_start_is_timed_as_a_whole(monkeypatch, part, seconds):
    answer = {"wall": 3.0, "seconds": 2.0, "epochs": 1, "accuracy": 1.0, "version": "1"}
    asked = []
    monkeypatch.setattr(
        trainings, "run_once", lambda *words: asked.append(words) or answer
    )
    (result,) = trainings.measure(part, ("numpy",), 3, 2, (XOR,))
    assert result["rivals"]["numpy"]["rounds_s"] == [seconds, seconds]
    assert [(w[:4], w[-1]) for w in asked] == [
        ((3, "tasks", "numpy", "xor"), str(seed)) for seed in range(2)
    ]


def test_a_training_that_fails_is_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr(trainings, "run_once", lambda *_: {"failed": "no memory"})
    (result,) = trainings.measure("cold", ("numpy",), 1, 3, (XOR,))
    assert result["rivals"]["numpy"] == {"note": "left out: no memory"}


def test_validation_samples_are_not_trained_on(tmp_path):
    ACCURACY.write_data(tmp_path / "data.npz")
    data = Data.read(str(tmp_path / "data.npz"))
    assert len(data.x) + len(data.xv) == 1797
    rows = {row.tobytes() for row in data.x}
    assert not any(row.tobytes() in rows for row in data.xv)
