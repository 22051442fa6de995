"""Training goes on whatever the standard streams are."""

import sys

import numpy as np
import pytest

import xpnet as xn
from tests.cases import in_turns
from tests.streams import STREAMS, text_of

X = np.random.default_rng(0).random((30, 3)).astype(np.float32)
Y = np.arange(30) % 3


def make(learning_rate=1e-2, seed=0):
    model = xn.Sequential([xn.Dense(4, activation="sigmoid"), xn.Dense(3)])
    rule = xn.Adam(learning_rate)
    return xn.Trainer(model, "softmax_cross_entropy", rule, "cpu", seed=seed)


def fit(verbose):
    make().fit(X, Y, epochs=2, batch_size=8, verbose=verbose)


def diagnosed(verbose):
    make().fit(X, Y, epochs=2, batch_size=8, verbose=verbose, diagnose=True)


def stack(verbose):
    xn.Stack([make(seed=i) for i in range(2)]).fit(X, Y, epochs=2, verbose=verbose)


def search(verbose):
    rates = {"learning_rate": [1e-3, 1e-2]}
    xn.grid_search(make, X, Y, rates, folds=2, epochs=1, verbose=verbose)


def minimize(verbose):
    xn.minimize(make(), X, Y, "lbfgs", steps=2, verbose=verbose)


TRAININGS = [fit, diagnosed, stack, search, minimize]


@pytest.mark.parametrize(
    ("name", "train", "verbose"),
    in_turns([name for name in STREAMS for _ in "ab"], TRAININGS, [True, None]),
)
def test_no_stream_ends_a_training(name, train, verbose, monkeypatch):
    out, err = STREAMS[name](), STREAMS[name]()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        train(verbose)
    if verbose and name in ("bare", "ascii", "cp1252"):
        assert text_of(out) + text_of(err)
