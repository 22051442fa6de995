"""Numbers that write out how they were computed."""

import numpy as np
import pytest

from xpnet.lessons.support.shown import plain, shown, sigmoid


def text(array):
    return [number.text for number in array.ravel()]


def test_a_matrix_product_writes_out_its_entries():
    x, W, b = shown([[0.5, -1.0]]), shown([[0.4, -0.6], [0.2, 0.8]]), shown([[0.1, -2]])
    z = x @ W + b
    assert text(z) == ["0.5·0.4 + (-1)·0.2 + 0.1", "0.5·(-0.6) + (-1)·0.8 + (-2)"]
    np.testing.assert_allclose(plain(z), plain(x) @ plain(W) + plain(b), rtol=1e-15)


def test_sums_get_brackets_in_a_product_and_products_do_not():
    a, b, c = shown([0.25, 3.0, -2.0])
    assert ((a + b) * c).text == "(0.25 + 3)·(-2)"
    assert (a * b * c).text == "0.25·3·(-2)"
    assert (a * b - (b - c)).text == "0.25·3 - (3 - (-2))"
    assert (a * b - (b - c)).value == pytest.approx(-4.25)


def test_a_text_evaluates_to_its_value():
    a, b, c = shown([0.25, 3.0, -2.0])
    for number in (a + b, (a - c) * (b + a * c), b - a * c - (a - b), c * c - c):
        assert eval(number.text.replace("·", "*")) == pytest.approx(number.value)


def test_a_sigmoid_shows_its_argument():
    x, w = shown([1.5]), shown([-2.0])
    assert text(sigmoid(x * w)) == ["σ(1.5·(-2))"]
    assert plain(sigmoid(x))[0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_given_numbers_are_shown_by_four_digits_and_kept_in_full():
    number = shown([1 / 3])[0]
    assert number.text == "0.3333"
    assert number.value == 1 / 3
