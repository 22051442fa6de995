"""Fits of estimators in fresh processes."""

import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")

from xpnet.benchmarks import estimators, worker


@pytest.fixture(scope="module")
def small():
    return estimators.measure(tuple(estimators.ESTIMATORS), ("wine",), 1, 1, 60)[0]


def test_every_estimator_fits_and_scores(small):
    for row in small["rivals"].values():
        assert row.get("note") is None
        assert row["s"] > 0.0
        assert row["scores"][0] > 0.9


def test_the_table_says_who_was_how_fast_and_who_scores_less(small):
    lines = estimators.table(small).text().splitlines()
    assert lines[0] == "fit on wine, 60 epochs, 1 seeds, 1 thread"
    assert len(lines) == 2 + len(estimators.ESTIMATORS)
    rivals = {
        "xpnet": {"s": 1.0, "iqr_s": 0.0, "scores": [0.8, 0.9]},
        "sklearn": {"s": 1.0, "iqr_s": 0.0, "scores": [0.93, 0.95]},
        "xpnet32": {"note": "left out: no memory"},
    }
    table = estimators.table({"what": "", "threads": 1, "rivals": rivals}).text()
    assert [line.endswith("worse") for line in table.splitlines()] == [
        *(False, False, True, False, False)
    ]
    assert "left out: no memory" in table


def test_targets_of_diabetes_are_standardised_by_the_training_part():
    parts = estimators.split("diabetes", 0)
    assert parts["y"].mean() == pytest.approx(0.0, abs=1e-12)
    assert parts["y"].std() == pytest.approx(1.0)
    assert parts["yt"].std() == pytest.approx(1.0, abs=0.3)


def test_a_fit_that_fails_or_ends_early_is_a_row_that_says_so(monkeypatch):
    answer, _ = worker.start("estimators", "sklearn", "no_such_set", "0", "5")
    assert answer["failed"].startswith("AttributeError")
    rows = [{"failed": "no memory"}, {"missing": "sklearn"}]
    for row in rows:
        monkeypatch.setattr(estimators, "fit", lambda *_, row=row: row)
        found = estimators.measure(("xpnet",), ("wine",), 1, 2)[0]["rivals"]["xpnet"]
        assert list(found) == ["note"]
