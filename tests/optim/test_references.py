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
    flat_gradient,
    flat_problem,
    network_problem,
    optimizer,
)
from xpnet.optim import OPTIMIZERS

FILE = Path(__file__).with_name("references.npz")


@pytest.fixture(scope="module")
def references():
    """The stored trajectories, by "setting/name"."""
    with np.load(FILE) as stored:
        return dict(stored)


def test_every_optimizer_of_the_table_has_a_setting():
    assert {row for row, _ in SETTINGS.values()} == set(OPTIMIZERS)


def test_no_reference_is_without_its_setting(references):
    assert {key.split("/")[0] for key in references} == {*SETTINGS, "torch"}
    assert FILE.stat().st_size < 200_000


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


def flat_trajectory(rule, lead=()):
    """The kept parameters of plain arrays moved by `Optimizer.step`."""
    start, a = flat_problem()
    p = np.broadcast_to(start, (*lead, 12)).copy()
    slots = [np.zeros_like(p) for _ in rule.slots]
    kept = []
    for t in range(STEPS):
        gradient = p @ a + p**3 - 1.0 if lead else flat_gradient(p, a)
        numbers = rule.scalars(rule.schedule(t), t + 1)
        scalars = {n: np.full((*lead, 1), v) for n, v in numbers.items()}
        rule.step(p, gradient, slots, scalars, penalized=WEIGHTS)
        if t + 1 in KEPT:
            kept.append(p.copy())
    return np.array(kept)


@pytest.mark.parametrize("name", SETTINGS)
def test_plain_arrays_follow_the_reference(name, references):
    close(flat_trajectory(optimizer(name)), references[f"{name}/flat"])


@pytest.mark.parametrize("name", SETTINGS)
def test_each_stacked_network_follows_the_reference(name, references):
    """Clipping by norm too: the norm is each network's own."""
    kept = flat_trajectory(optimizer(name), lead=(2,))
    for member in range(2):
        close(kept[:, member], references[f"{name}/flat"])


def trained(name, eager, dtype="float64"):
    """{name: kept parameters} of a Trainer on the network problem."""
    start, x, y = network_problem()
    model = xn.Sequential([xn.Dense(5, "tanh"), xn.Dense(3)]).build(4)
    trainer = xn.Trainer(
        model,
        "mean_squared_error",
        optimizer(name),
        device="cpu",
        dtype=dtype,
        eager=eager,
    )
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
def test_a_trainer_follows_the_reference_recorded_and_eager_alike(name, references):
    recorded, eager = trained(name, False), trained(name, True)
    for key, kept in recorded.items():
        close(kept, references[f"{name}/{key}"])
        assert np.array_equal(kept, eager[key])


@pytest.mark.parametrize("name", SETTINGS)
def test_float32_stays_near_and_is_recorded_as_eager(name, references):
    recorded, eager = trained(name, False, "float32"), trained(name, True, "float32")
    for key, kept in recorded.items():
        assert kept.dtype == np.float32
        assert np.array_equal(kept, eager[key])
        wanted = references[f"{name}/{key}"][:3]  # before rounding has grown
        np.testing.assert_allclose(kept[:3], wanted, rtol=1e-4, atol=1e-5)


def test_the_settings_lead_to_different_places(references):
    ends = [references[f"{name}/flat"][-1] for name in SETTINGS]
    for i, a in enumerate(ends):
        for b in ends[:i]:
            assert abs(a - b).max() > 1e-6
