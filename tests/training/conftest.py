"""Fixtures of this room's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from xpnet.execution.steps import StepBlock
from xpnet.stack import fit


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """For larger products: the workers of pytest-xdist share the cores already."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(params=[(1, 1), (2, 3), (100, 2)], ids="tiles of {0[0]}".format)
def split(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(networks at a time, threads): of the tiles of a stack."""
    most, threads = request.param
    chosen: Any = StepBlock.most
    small = property(lambda self: min(most, chosen.fget(self)))
    monkeypatch.setattr(StepBlock, "most", small)
    monkeypatch.setattr(fit, "workers", lambda members: threads)
    return request.param
