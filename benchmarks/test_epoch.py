"""An epoch over the digits: gathering, steps, the loss of every batch."""

from typing import Any

import pytest

import xpnet as xn
from xpnet.backend import Backend
from xpnet.benchmarks.conftest import Timed
from xpnet.benchmarks.subjects import model, steady


@pytest.mark.parametrize("batch", [32, 256], ids="batch={}".format)
def test_epoch(
    benchmark: Any, timed: Timed, backend: Backend, threads: int, batch: int
) -> None:
    """One `fit` of one epoch."""
    benchmark.group = "epoch digits 64-64-10"
    x, y = xn.datasets.digits()
    subject = xn.Trainer(
        model((64, 64, 10)),
        "softmax_cross_entropy",
        xn.Adam(1e-3),
        device=backend,
        jit=steady(backend),
    )
    timed(lambda: subject.fit(x / 16, y, 1, batch, verbose=False))
    assert subject.epochs_done >= 1
