"""Fixtures that every room's tests share."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from threadpoolctl import threadpool_limits

from tests import standin as device
from xpnet.common import cache
from xpnet.common.cache import cache_directory
from xpnet.compiler import c as native


@pytest.fixture(autouse=True, scope="session")
def nothing_compiled_unasked(tmp_path_factory) -> Iterator[None]:
    """What a test runs must not depend on what an earlier one has left in a cache."""
    cache_directory.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XPNET_JIT", "0")
        patch.setenv("XPNET_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
    cache_directory.cache_clear()


@pytest.fixture
def cache_folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache, of which nothing is known in this process."""
    monkeypatch.setenv("XPNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(native.build, "_BUILDS", {})
    monkeypatch.setattr(native.build, "_REFUSED", [])
    monkeypatch.setattr(native.program_cache, "_KNOWN", {})
    monkeypatch.setattr(cache._Room, "left", 0)
    cache_directory.cache_clear()
    yield cache_directory()
    cache_directory.cache_clear()


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
