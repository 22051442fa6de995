"""Fixtures of this room's tests."""

from typing import Any

import pytest

from xpnet.execution import network_blocks
from xpnet.stack import fit


@pytest.fixture(params=[(2, 3), (100, 2)], ids="tiles of {0[0]}".format)
def split(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(networks at a time, threads): of the tiles of a stack."""
    most, threads = request.param
    chosen = network_blocks.NetworkBlocks.__init__

    def small(self: Any, steps: Any, count: int, tile: int, takes: Any) -> None:
        chosen(self, steps, count, min(most, tile), takes)

    monkeypatch.setattr(network_blocks.NetworkBlocks, "__init__", small)
    monkeypatch.setattr(fit, "workers", lambda members: threads)
    return request.param
