"""Where the time of a step goes."""

import numpy as np
import pytest

from tests.benchmarks.records import breakdown as example
from xpnet.benchmarks import breakdown
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.tables import breakdown_table

CASE = Case((6, 5, 3), 4, "adam")


@pytest.fixture(scope="module")
def measured():
    breakdown_seconds, breakdown.SECONDS = breakdown.SECONDS, 0.001
    yield breakdown.one(CASE)
    breakdown.SECONDS = breakdown_seconds


def test_every_call_of_the_step_has_its_kind(measured):
    kinds = measured["kinds"]
    # z of two layers, dW of two, δ of the first; Σ exp and two bias gradients.
    assert kinds["products"]["calls"] == 5
    assert kinds["sums"]["calls"] == 3
    assert sum(row["calls"] for row in kinds.values()) < measured["calls_without_jit"]
    assert {"update", "NumPy calls"} <= set(kinds)
    for row in (*kinds.values(), {"us": measured["floor"]}):
        assert all(value > 0.0 for value in row.values())


def test_a_slow_call_shows_in_its_kind(monkeypatch):
    def dot(*arguments):
        np.linalg.inv(np.eye(100))

    calls = [(breakdown._kind(dot, ()), (dot, ())), ("update", (int, ()))]
    monkeypatch.setattr(breakdown, "SECONDS", 0.01)
    inside = breakdown._inside(calls)
    assert inside["products"] > 10.0 * inside["update"]


def test_a_case_that_fails_is_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr(breakdown.sys, "executable", "/bin/false")
    (result,) = breakdown.measure([CASE], 1)
    assert result["note"].startswith("failed: ")
    assert "failed" in breakdown_table(result).text()


def test_the_table_adds_up():
    table = breakdown_table(example((64, 32, 10), 32, "adam", factor=2.0))
    inside = {row.label: row.cells[1] for row in table.rows}
    assert inside["products"] == "10.00"
    assert inside["the rest: checks, Python"] == "3.00"
    assert inside["whole step"] == "21.00"
    ratios = {row.label: row.cells[3] for row in table.rows}
    assert ratios["whole step"] == "2.47"
    assert ratios["floor"] == "1.00"
