"""One word for one thing: grad is ∂J/∂a of a layer's output, delta is ∂J/∂z."""

import ast
import inspect
from pathlib import Path

import pytest

import xpnet as xn
from xpnet.layers import LAYERS

FOLDER = Path(__file__).resolve().parents[2] / "layers"


@pytest.mark.parametrize("kind", [xn.Layer, xn.Sequential, *LAYERS.values()])
def test_backward_takes_grad(kind):
    assert list(inspect.signature(kind.backward).parameters) == ["self", "grad"]


def test_delta_is_the_product_with_the_slope_of_an_activation():
    """Only Dense has a z of its own, so only it has a delta."""
    found = {
        path.stem
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "delta"
    }
    assert found == {"dense", "losses"}  # Huber's delta is a width
