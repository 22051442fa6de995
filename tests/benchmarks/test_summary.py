"""Medians, spreads and ratios."""

import pytest

from xpnet.benchmarks.summary import add_summaries, ratio, spread


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
