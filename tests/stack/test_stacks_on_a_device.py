"""A stack on a device does what it does on the CPU, and waits for nothing."""

import numpy as np
import pytest

import xpnet as xn
from tests.cases import FEATURES, data
from tests.stack.examples import (
    BATCH,
    assert_alike,
    assert_as_alone,
    at_rates,
    fitted,
    of,
    recorded_group,
)
from tests.standin import standin_backend
from tests.training.examples import network
from tests.ways import assert_close, everything, rows
from xpnet.execution.interrupt import Interrupt
from xpnet.training.data import Samples


@pytest.mark.parametrize(("hidden", "rule", "ordinal", "dtype"), [
    ("dropout", "sgd", 0, "float64"), ("batch norm", "adamw", 1, "float32"),
])  # fmt: skip
def test_a_device_does_what_the_cpu_does(standin, hidden, rule, ordinal, dtype):
    x, y = data()
    own = [rows(i) for i in range(5)]
    epochs = {"float32": 1, "float64": 3}[dtype]
    tolerance = {"float32": 1e-5, "float64": 1e-11}[dtype]
    found = []
    for device in (standin_backend(ordinal), "cpu"):
        stack, histories = fitted(
            of(hidden, rule, device=device, dtype=dtype), 5, epochs,
            rows=own, validation_rows=own, class_weight="balanced",
            callbacks=xn.EarlyStopping(patience=1),
        )  # fmt: skip
        scores = [sorted(one.items()) for one in stack.evaluate(x, y, own)]
        values = np.array([[value for _, value in one] for one in scores])
        found.append(((stack, histories), stack.predict(x), values))
    assert_alike(found[0][0], found[1][0], tolerance)
    for a, b in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_a_step_on_a_device_uploads_nothing_and_waits_for_nothing(standin):
    device = standin_backend()
    trainers = [network(i, "dropout", "adam", device=device) for i in range(3)]
    samples, counts = Samples(trainers[0], *data()), []
    for batch in (22, 2):  # 1 step and 11 steps an epoch
        group = recorded_group(trainers, samples, 22, batch)
        with standin.counting() as count:
            group.epoch(Interrupt())
        counts.append((count.allocations, count.uploads, count.synchronisations))
    assert counts[0] == counts[1]


def test_divergence_on_a_device_goes_back_to_before_the_epoch(standin):
    rates, device = at_rates([0.05, 3e3, 0.1]), standin_backend()
    how = {"epochs": 40, "members": 3, "rows": None}
    stack, _ = assert_as_alone(lambda i: rates(i, device=device), 1e-6, **how)
    assert list(stack.errors) == [1]
    assert "step" in str(stack.errors[1])


@pytest.mark.parametrize(("where", "weight"), [(4, None), (12, "balanced"), (21, None)])
def test_divergence_on_a_device_is_told_of_as_on_the_cpu(standin, where, weight):
    """With the layer that the bad batch overflows, wherever in the epoch it is."""
    x, y = data()
    x = x.astype(np.float32)
    x[where] = 3e38
    own = [np.arange(23), np.delete(np.arange(23), [0, where]), np.arange(2, 23)]
    told = []
    for device in (standin_backend(), "cpu"):
        stack = xn.Stack([network(i, "batch norm", device=device) for i in range(3)])
        for trainer in stack:
            trainer.build(FEATURES)
        before = everything(stack[0])
        how = {"rows": own, "class_weight": weight, "shuffle": False}
        stack.fit(x, y, 1, BATCH, **how, verbose=False)
        told.append({i: str(error) for i, error in stack.errors.items()})
        if device != "cpu":
            assert_close(everything(stack[0]), before, 0.0)
    assert list(told[0]) == [0, 2]
    assert told[0] == told[1]
    assert f"at step {where // BATCH + 1}: the loss is nan" in told[0][0]
    assert "its output overflows (its input reaches 3e+38)" in told[0][0]
