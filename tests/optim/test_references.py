"""Trajectories of 100 steps against PyTorch's, stored in references.npz."""

from pathlib import Path

import numpy as np
import pytest

import xpnet as xn
from tests.optim.settings import (
    KEPT,
    SETTINGS,
    STEPS,
    WEIGHTS,
    flat_problem,
    network_problem,
    optimizer,
)
from xpnet.optim import OPTIMIZERS

FILE = Path(__file__).with_name("references.npz")
FIRST = {row: name for name, (row, _) in reversed(SETTINGS.items())}


@pytest.fixture(scope="module")
def references():
    """The stored trajectories, by "setting/name"."""
    with np.load(FILE) as stored:
        return dict(stored)


def test_settings_references_and_optimizers_belong_together(references):
    assert {row for row, _ in SETTINGS.values()} == set(OPTIMIZERS)
    assert {key.split("/")[0] for key in references} == {*SETTINGS, "torch"}
    assert FILE.stat().st_size < 200_000
    ends = [references[f"{name}/flat"][-1] for name in SETTINGS]
    for i, a in enumerate(ends):  # each setting matters
        assert all(abs(a - b).max() > 1e-6 for b in ends[:i])


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


def flat_trajectory(rule, lead):
    """The kept parameters of plain arrays moved by `Optimizer.step`."""
    start, a = flat_problem()
    p = np.broadcast_to(start, (*lead, 12)).copy()
    slots = [np.zeros_like(p) for _ in rule.slots]
    kept = []
    for t in range(STEPS):
        numbers = rule.scalars(rule.schedule(t), t + 1)
        scalars = {n: np.full((*lead, 1), v) for n, v in numbers.items()}
        rule.step(p, p @ a + p**3 - 1.0, slots, scalars, penalized=WEIGHTS)
        if t + 1 in KEPT:
            kept.append(p.copy())
    return np.array(kept)


def trained(name, dtype="float64"):
    """{name: kept parameters} of a Trainer on the network problem."""
    start, x, y = network_problem()
    model = xn.Sequential([xn.Dense(5, "tanh"), xn.Dense(3)]).build(4)
    trainer = xn.Trainer(model, "mean_squared_error", optimizer(name), "cpu", dtype)
    for key, values in start.items():
        trainer.parameters()[key][...] = values
    kept = {key: [] for key in start}
    for step in range(1, STEPS + 1):
        trainer.step(x, y)
        if step in KEPT:
            for key, values in trainer.parameters().items():
                kept[key].append(values.copy())
    return {key: np.array(rows) for key, rows in kept.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_arrays_and_a_trainer_follow_the_reference(name, references):
    """Also stacked: the norm that clips is each network's own."""
    close(flat_trajectory(optimizer(name), ()), references[f"{name}/flat"])
    stacked = flat_trajectory(optimizer(name), (2,))
    for member in range(2):
        close(stacked[:, member], references[f"{name}/flat"])
    for key, kept in trained(name).items():
        close(kept, references[f"{name}/{key}"])


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_float32_stays_near(row, references):
    for key, kept in trained(FIRST[row], "float32").items():
        assert kept.dtype == np.float32
        wanted = references[f"{FIRST[row]}/{key}"][:3]  # before rounding has grown
        np.testing.assert_allclose(kept[:3], wanted, rtol=1e-4, atol=1e-5)
