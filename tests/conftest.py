"""Fixtures that every room's tests share."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from threadpoolctl import threadpool_limits

from tests import standin as device


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> Iterator[None]:
    """Test processes side by side must not fight for the cores."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def standin() -> Iterator[ModuleType]:
    """The stand-in for CuPy, as new; what the test changed in it is undone."""
    device.reset()
    yield device
    assert device.current_device() == 0, "a device context was left open"
    device.reset()
