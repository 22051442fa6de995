"""The orders of the samples, and the numbers of steps to come."""

import numpy as np
import pytest

import xpnet as xn
from xpnet.training.data import Orders
from xpnet.training.learning_rate import LearningRate


def test_every_epoch_takes_every_sample_in_an_order_of_its_own():
    orders = Orders(3, batch_size=8)
    drawn = [orders.of(epoch, 40) for epoch in range(50)]
    assert all(np.array_equal(np.sort(rows), np.arange(40)) for rows in drawn)
    assert len({rows.tobytes() for rows in drawn}) == 50


def test_no_epoch_needs_those_before_it():
    there = Orders(3, 8)
    back = Orders(3, 8)
    forth = [there.of(epoch, 40) for epoch in range(9)]
    for epoch in reversed(range(9)):
        back.of(epoch, 7)  # nor what has been drawn between
        assert np.array_equal(back.of(epoch, 40), forth[epoch])


def test_seeds_have_orders_of_their_own():
    drawn = [Orders(seed, 8).of(epoch, 40) for seed in range(9) for epoch in range(9)]
    assert len({rows.tobytes() for rows in drawn}) == 81


@pytest.mark.parametrize(("count", "shuffle"), [(8, True), (5, True), (40, False)])
def test_what_is_one_batch_or_not_to_be_shuffled_stays_as_it_is(count, shuffle):
    assert np.array_equal(Orders(3, 8, shuffle).of(2, count), np.arange(count))


@pytest.mark.parametrize(
    "schedule",
    [
        0.1,
        xn.StepDecay(0.1, 3),
        xn.Cosine(0.1, 9),
        xn.WarmUp(0.1, 5),
        lambda t: 1 / (t + 1),
    ],
    ids=["constant", "steps", "cosine", "warm-up", "function"],
)
@pytest.mark.parametrize("by_hand", [None, 0.02])
def test_rates_to_come_are_the_rates_of_the_steps(schedule, by_hand):
    rates = LearningRate(xn.SGD(schedule).schedule, np.dtype("float64"))
    if by_hand is not None:
        rates.set(by_hand, 2)
    assert rates.of(2, 20) == [rates.at(step) for step in range(2, 22)]
