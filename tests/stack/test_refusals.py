"""What cannot be one stack, and what a stack cannot be asked for."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import data
from tests.stack.examples import BATCH, MSE, fitted, of
from tests.training.examples import network
from tests.ways import everything, same


def wide():
    model = xn.Sequential([xn.Dense(9, "tanh"), xn.Dense(3)])
    return xn.Trainer(model, "softmax_cross_entropy", xn.SGD(0.1), "cpu")


def shared():
    first = network(0)
    return [first, xn.Trainer(first.model, "huber", device="cpu")]


TRAINERS = {
    "layers: networks 0 and 1 have 2 and 4": lambda: [network(0), network(1, "deep")],
    "layers": lambda: [network(0), network(1, "activation")],
    "optimizer: .* 'SGD' and 'Adam'": lambda: [network(0), network(1, rule="adam")],
    "optimizer: nesterov": lambda: [network(0), network(1, rule="nesterov")],
    "loss": lambda: [network(0), network(1, loss=MSE)],
    "dtype": lambda: [network(0), network(1, dtype="float64")],
    "metrics": lambda: [network(0), network(1, metrics="top_3")],
    "layer 0: units: .* 8 and 9; train them in two": lambda: [network(0), wide()],
    "at least one": list,
    "eager": lambda: [network(0), network(1, eager=True)],
    "share one Sequential": shared,
    "list of Trainers": lambda: network(0),
    "position 0": lambda: [network(0).model],
}


FIT = {
    "epochs": {"epochs": 0},
    "batch_size": {"batch_size": 0},
    "rows: expected a list of 2": {"rows": [np.arange(3)]},
    "network 1": {"rows": [np.arange(3), np.array([], int)]},
    "0..22, got 23 for network 1": {"rows": [np.arange(3), np.array([23])]},
    "got -2": {"rows": [np.arange(3), -np.arange(3)]},
    "flatnonzero": {"rows": [np.arange(3), np.ones(3, bool)]},
    "validation_rows": {"validation_rows": [np.arange(3)]},
    "memory: expected at least the": {"memory": 100},
    "memory": {"memory": -1},
    "'balanced'": {"class_weight": "even"},
    "validation: expected": {"validation": [1, 2]},
}


@pytest.mark.parametrize("message", TRAINERS)
def test_what_is_no_list_of_equal_networks_is_refused_by_the_setting(message):
    kind = TypeError if message in ("list of Trainers", "position 0") else ValueError
    with pytest.raises(kind, match=message):
        xn.Stack(TRAINERS[message]())


def test_unfit_arguments_are_refused_and_lose_nothing():
    x, y = data()
    stack, _ = fitted(of(), 2, 1)
    before = [everything(t) for t in stack]
    for message, options in FIT.items():
        kind = TypeError if message.startswith("validation:") else ValueError
        with pytest.raises(kind, match=message):
            stack.fit(x, y, **{"batch_size": BATCH, "verbose": False, **options})
    assert all(same(everything(t), b) for t, b in zip(stack, before, strict=True))
