"""Outputs, losses and gradients against those of PyTorch, stored in references.npz."""

from pathlib import Path

import numpy as np
import pytest

import xpnet as xn
from tests.layers.cases import CASES, network, parameters, samples, targets
from xpnet.backend import get_backend

FILE = Path(__file__).with_name("references.npz")


@pytest.fixture(scope="module")
def references():
    """The stored arrays, by "case/name"."""
    with np.load(FILE) as stored:
        return dict(stored)


def expected(references, name):
    """The arrays of one case."""
    found = {
        key.removeprefix(f"{name}/"): value
        for key, value in references.items()
        if key.startswith(f"{name}/")
    }
    assert found, f"no references for {name}: python -m tests.layers.make_references"
    return found


def placed(case):
    """The case's network with its fixed parameters, in float64."""
    model = network(case)
    model.allocate(get_backend("cpu"), np.dtype("float64"), (0,))
    for name, values in parameters(case).items():
        layer, parameter = name.split(".")
        model.buffers.views[int(layer), parameter][...] = values
    return model


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_arrays_and_a_trainer_agree_with_the_references(name, references):
    case, wanted = CASES[name], expected(references, name)
    model, t, loss = placed(case), targets(case), case.function
    z = model.forward(samples(case), training=True)
    close(z, wanted["z"])
    close(loss.rows(z, t).mean(), wanted["loss"])
    close(model.backward(loss.gradient(z, t) / len(t)), wanted["x"])
    if case.norm == "BatchNorm":
        close(model.layers[1].running_mean[0], wanted["running_mean"])
        close(model.layers[1].running_variance[0], wanted["running_variance"])
    trainer = xn.Trainer(placed(case), loss, xn.SGD(1e-3), "cpu", "float64")
    trainer.step(samples(case), t)
    close(trainer.loss, wanted["loss"])
    for key, gradient in trainer.gradients().items():
        close(gradient, wanted[key].reshape(gradient.shape))
        moved = parameters(case)[key].reshape(gradient.shape) - 1e-3 * gradient
        close(trainer.parameters()[key], moved)


def test_no_reference_is_without_its_case(references):
    assert {key.split("/")[0] for key in references} == {*CASES, "torch"}
    assert FILE.stat().st_size < 100_000
