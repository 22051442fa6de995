"""Calibration: the error by hand, and a temperature that is found again."""

import numpy as np
import pytest

import xpnet as xn


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def drawn(temperature, samples=20000, classes=4, seed=0):
    """(p, y): labels drawn from softmax(z / temperature), p = softmax(z)."""
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=(samples, classes))
    right = np.cumsum(softmax(z / temperature), axis=1)
    y = (rng.uniform(size=(samples, 1)) > right).sum(axis=1).clip(0, classes - 1)
    return softmax(z), y


def test_the_error_by_hand():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.45, 0.55]])
    y = np.array([0, 1, 1, 1, 0])
    found = xn.reliability(p, y, bins=5)
    # (0.4, 0.6]: 0.6 right, 0.55 wrong; (0.6, 0.8]: 0.8 wrong, 0.7 right; 0.9 right.
    assert found.count.tolist() == [0, 0, 2, 2, 1]
    np.testing.assert_allclose(found.confidence[2:], [0.575, 0.75, 0.9])
    np.testing.assert_allclose(found.accuracy[2:], [0.5, 0.5, 1.0])
    wanted = (2 * 0.075 + 2 * 0.25 + 0.1) / 5
    assert found.error == pytest.approx(wanted)
    assert found.worst == pytest.approx(0.25)
    assert xn.expected_calibration_error(p, y, 5) == pytest.approx(wanted)


def test_a_calibrated_network_has_an_error_near_nothing():
    assert xn.expected_calibration_error(*drawn(1.0)) < 0.015
    assert xn.expected_calibration_error(*drawn(3.0)) > 0.1


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature):
    p, y = drawn(temperature)
    found = xn.Temperature.fit(p, y)
    assert found.value == pytest.approx(temperature, rel=0.05)
    q = found(p)
    np.testing.assert_allclose(q.sum(axis=1), 1.0)
    assert np.array_equal(q.argmax(axis=1), p.argmax(axis=1))
    assert xn.expected_calibration_error(q, y) < 0.015
    own = (np.arange(len(y)), y)
    tried = [found.value * factor for factor in (1.0, 0.97, 1.03)]
    losses = [-np.log(xn.Temperature(t)(p)[own]).mean() for t in tried]
    assert losses[0] < min(losses[1:])


def test_yes_and_no_come_in_three_forms():
    p, y = drawn(2.0, 500, 2)
    forms = [p, p[:, 1], p[:, 1:]]
    errors = {round(xn.expected_calibration_error(form, y), 12) for form in forms}
    values = {round(xn.Temperature.fit(form, y).value, 9) for form in forms}
    assert len(errors) == len(values) == 1
    t = xn.Temperature(2.0)
    assert [t(form).shape for form in forms] == [(500, 2), (500,), (500, 1)]
    np.testing.assert_allclose(t(p)[:, 1], t(p[:, 1]))


def test_temperature_one_changes_nothing():
    p, _ = drawn(1.0, 50)
    np.testing.assert_allclose(xn.Temperature(1.0)(p), p, rtol=1e-12)


def test_the_diagram_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    xn.reliability(*drawn(2.0, 300)).plot(tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("p", "y", "message"), [
    (np.ones((3, 2), int), [0, 1, 0], "expected probabilities"),
    (np.full((3, 2), 2.0), [0, 1, 0], "0 to 1"),
    (np.full((3, 2), 0.2), [0, 1, 0], "sum to 1"),
    (np.full((3, 2), 0.5), [0, 1, 2], "labels 0..1"),
    (np.full((3, 2), 0.5), [0, 1], "y: expected as many samples as p has, 3, got 2"),
    (np.full((3, 2), np.nan), [0, 1, 0], "p: expected finite"),
    (np.full(3, 0.5), [0.0, 0.5, 1.0], "labels 0..1, got 0.5"),
])  # fmt: skip
def test_unfit_probabilities_are_refused(p, y, message):
    for call in (xn.reliability, xn.Temperature.fit):
        with pytest.raises(ValueError, match=message):
            call(p, np.array(y))
    with pytest.raises(ValueError, match="value > 0"):
        xn.Temperature(0.0)
