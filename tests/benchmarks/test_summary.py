"""Medians, spreads and ratios."""

import pytest

from xpnet.benchmarks import memory
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.tables import add_summaries, ratio, spread, take_turns


def test_the_spread_is_median_and_interquartile_range():
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (3.0, 2.0)
    assert spread([7.0]) == (7.0, 0.0)


def test_ratios_pair_the_rounds():
    # The second round was ten times slower for both: no ratio notices.
    assert ratio([1.0, 10.0, 1.0], [2.0, 20.0, 2.0]) == 0.5


def test_summaries_leave_rows_with_notes_alone():
    rows = {
        "xpnet": {"rounds_us": [4.0, 6.0]},
        "products": {"rounds_us": [1.0, 2.0]},
        "torch": {"note": "left out"},
    }
    add_summaries(rows, "us")
    assert rows["torch"] == {"note": "left out"}
    assert rows["xpnet"]["us"] == 5.0
    assert rows["xpnet"]["over_floor"] == pytest.approx(3.5)
    assert rows["products"]["xpnet_over_this"] == pytest.approx(3.5)


def test_rivals_take_turns_until_they_fail():
    asked = []

    def ask(name, seed):
        asked.append((name, seed))
        if name == "b" and seed == 1:
            return {"failed": "no memory"}
        return {"seconds": 1.0 + seed, "version": "2"}

    rows = take_turns("ab", 3, ask, {"seconds": "rounds_s"})
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    assert rows["a"] == {"rounds_s": [1.0, 2.0, 3.0], "version": "2"}
    add_summaries(rows, "s")
    assert rows["b"]["note"] == "left out: no memory"
    assert "rounds_s" not in rows["b"]


def test_memory_beside_what_is_needed():
    case = Case((64, 32, 10), 32, "adam")
    parameters = 64 * 32 + 32 + 32 * 10 + 10
    assert memory.need(case) == 4 * (4 * parameters + 32 * (64 + 32 + 10))
    assert memory.need(case) < memory.use(case) < 10 * memory.need(case)
