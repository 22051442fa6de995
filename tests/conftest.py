"""Fixtures that every room's tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from threadpoolctl import threadpool_limits

from tests import standin as device
from xpnet.common import cache
from xpnet.common.cache import cache_directory
from xpnet.compiler import c as native
from xpnet.compiler.c import toolchain

# Which start rivals or workers.
WAITING = {
    "test_estimators", "test_gpu_check", "test_gpu_costs", "test_gpu_parity",
    "test_race", "test_selection", "test_trainings",
}  # fmt: skip


QUICK = 8  # tests of a file


def waits(item: pytest.Item) -> bool:
    """Whether a test is marked as slow, or lies where all are."""
    if item.path.parent.name == "benchmarks" and item.path.stem in WAITING:
        return True
    return item.get_closest_marker("slow") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m quick`: of each file the first tests that do not wait, by their first row."""
    seen: dict[Path, set[str]] = {}
    for item in items:
        tests, test = seen.setdefault(item.path, set()), item.nodeid.partition("[")[0]
        if len(tests) < QUICK and test not in tests and not waits(item):
            tests.add(test)
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True, scope="session")
def nothing_compiled_unasked(tmp_path_factory) -> Iterator[None]:
    """What a test runs must not depend on what an earlier one has left in a cache."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # all workers share what is compiled
        base = base.parent
    cache_directory.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XPNET_JIT", "0")
        patch.setenv("XPNET_CACHE_DIR", str(base / "cache"))
        yield
    cache_directory.cache_clear()


@pytest.fixture(autouse=True, scope="session")
def compiled_quickly() -> Iterator[None]:
    """C is compiled in half the time; `optimised` takes the options of the users."""
    quick = [{"-O3": "-O0"}.get(option, option) for option in toolchain.OPTIONS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchain, "OPTIONS", quick)
        toolchain.compiler.cache_clear()
        yield
    toolchain.compiler.cache_clear()


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
