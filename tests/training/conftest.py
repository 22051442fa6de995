"""Fixtures of this room's tests."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """For larger products: the workers of pytest-xdist share the cores already."""
    with threadpool_limits(1, "blas"):
        yield
