"""Grid searches in fresh processes."""

import json
from dataclasses import asdict

import pytest

from xpnet.benchmarks import selection, worker
from xpnet.benchmarks.cases import Study

SMALL = Study(rates=(1e-2,), penalties=(0.0, 1e-4), folds=2, epochs=8)


@pytest.fixture(scope="module")
def small():
    return selection.measure(tuple(selection.SEARCHERS), 1, 1, SMALL)


@pytest.mark.parametrize("name", selection.SEARCHERS)
def test_a_rival_searches_in_a_process_of_its_own(small, name):
    row = small["rivals"][name]
    if row.get("note", "").startswith("not installed"):
        assert name not in ("xpnet", "loop")
        pytest.skip(row["note"])
    assert row.get("note") is None
    assert row["s"] > 0.0
    assert row["accuracy"][0] > 0.9
    assert row["best"] >= row["accuracy"]


def test_the_stack_computes_what_the_loop_computes(small):
    found = [small["rivals"][name]["accuracy"][0] for name in ("xpnet", "loop")]
    assert found[0] == pytest.approx(found[1], abs=2e-3)


def test_the_table_says_who_was_how_fast_and_who_was_left_out(small):
    lines = selection.table(small).text().splitlines()
    assert lines[0].startswith("2 settings × 2 folds of 64-64-10 on digits, 8 epochs")
    assert len(lines) == 2 + len(selection.SEARCHERS)
    rows = {"loop": {"accuracy": [0.9]}, "torch": {"accuracy": [0.85]}}
    selection.check_accuracies(rows)
    assert rows["torch"]["note"] == (
        "left out: mean validation accuracy 0.8500, not 0.9000"
    )
    assert "note" not in rows["loop"]


def test_a_rival_with_another_accuracy_is_left_out_of_a_measurement(monkeypatch):
    def search(name, *_):
        accuracy = 0.8 if name == "torch" else 0.9
        return {"seconds": 1.0, "accuracy": accuracy, "best": 0.95, "version": "1"}

    monkeypatch.setattr(selection, "search", search)
    rows = selection.measure(("xpnet", "loop", "torch"), 1, 2, SMALL)["rivals"]
    assert rows["torch"]["note"].startswith("left out: mean validation accuracy 0.8")
    assert "s" not in rows["torch"]
    assert rows["loop"]["s"] == 1.0


def test_a_study_goes_through_text():
    assert Study.from_dict(json.loads(json.dumps(asdict(SMALL)))) == SMALL
    assert len(Study().settings) == 16


def test_a_search_that_fails_is_a_row_that_says_so(tmp_path, monkeypatch):
    study, file = json.dumps(asdict(SMALL)), str(tmp_path / "none.npz")
    answer, _ = worker.start("selection", "loop", study, file, "0")
    assert answer["failed"].startswith("FileNotFoundError")
    monkeypatch.setattr(selection, "search", lambda *_: {"failed": "no memory"})
    result = selection.measure(("loop",), 1, 2, SMALL)
    assert result["rivals"]["loop"] == {"note": "left out: no memory"}
