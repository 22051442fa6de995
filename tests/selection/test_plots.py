"""What is drawn: the numbers of results, learning curves and reliability."""

import numpy as np
import pytest

import xpnet as xn
from tests.selection.examples import QUICK, data, make
from xpnet.selection import Results, Trial

pytest.importorskip("matplotlib")


def bars(panel):
    """(x, mean, deviation) of the points of a panel, in the order of drawing."""
    (container,) = panel.containers
    points, _, (segments,) = container.lines
    low_high = np.array(segments.get_segments())[:, :, 1]
    deviations = (low_high[:, 1] - low_high[:, 0]) / 2
    return np.column_stack([*points.get_data(), deviations]).astype(float)


def results():
    settings = [{"rate": r, "kind": k} for r, k in ((0.1, "a"), (0.001, "b"))]
    scores = [[{"loss": 2.0}, {"loss": 4.0}], [{"loss": 1.0}, {"loss": 1.5}]]
    trials = [Trial(s, rows) for s, rows in zip(settings, scores, strict=True)]
    return Results([*trials, Trial({"rate": 1.0, "kind": "c"}, [None, None])], "loss")


def test_each_setting_has_a_panel_with_means_and_deviations_best_first():
    rate, kind = results().plot().axes
    spread = [np.std([1.0, 1.5], ddof=1), np.sqrt(2.0)]
    expected = np.column_stack([[0.001, 0.1], [1.25, 3.0], spread])
    np.testing.assert_allclose(bars(rate), expected, rtol=1e-6)
    assert (rate.get_xscale(), rate.get_xlabel()) == ("log", "rate")
    np.testing.assert_allclose(bars(kind)[:, 0], [0, 1])
    assert [label.get_text() for label in kind.get_xticklabels()] == ["b", "a"]
    star = next(line for line in kind.lines if line.get_label() == "best")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.0, 1.25)


def test_a_learning_curve_shows_means_over_folds():
    x, y = data()
    curve = xn.learning_curve(make, x, y, (0.5, 1.0), folds=2, **QUICK)
    (panel,) = curve.plot().axes
    name = curve.results.monitor
    for line, part in zip(panel.lines, (curve.train, curve.test), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), curve.sizes)
        np.testing.assert_allclose(line.get_ydata(), part[name].mean(axis=1))
    assert name in panel.get_ylabel()


def test_a_reliability_diagram_shows_the_bins_that_are_not_empty():
    p, y = np.array([0.95, 0.9, 0.85, 0.2]), np.array([1, 1, 0, 0])
    found = xn.reliability(p, y, bins=10)
    (panel,) = found.plot().axes
    line = next(line for line in panel.lines if line.get_label() == "accuracy")
    seen = found.count > 0
    np.testing.assert_allclose(line.get_xdata(), found.confidence[seen])
    np.testing.assert_allclose(line.get_ydata(), found.accuracy[seen])
    heights = [bar.get_height() for bar in panel.patches]
    np.testing.assert_allclose(heights, found.count / 4)
    assert f"{found.error:.3f}" in panel.get_title()
