"""What the pytest-benchmark suite shares: device, threads, facts about the machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.machine import facts
from xpnet.common.machine import cores, overrides

GPU_CALLS = 100  # queued before the host waits for the device
Timed = Callable[..., None]  # (group, function, **facts)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --device; `--device cuda` runs everything on the GPU."""
    parser.addoption("--device", default="cpu", help="cpu, cuda or cuda:1 [cpu]")


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add BLAS, core type, threads, versions of NumPy and CUDA, TF32, overrides."""
    machine_info["xpnet"] = {**facts(), "overrides": overrides()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warm up every benchmark."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(warmup=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run with all cores and with 1; on a GPU only once."""
    if "threads" not in metafunc.fixturenames:
        return
    host = metafunc.config.getoption("--device") == "cpu"
    counts = sorted({cores(), 1}, reverse=True) if host else [cores()]
    metafunc.parametrize("threads", counts, indirect=True, ids="threads={}".format)


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The backend of --device; DeviceError with the reason if it does not work."""
    return get_backend(request.config.getoption("--device"))


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads that BLAS and compiled loops are limited to."""
    count: int = getattr(request, "param", None) or cores()
    with threadpool_limits(count, "blas"):
        yield count


@pytest.fixture
def timed(benchmark: Any, backend: Backend) -> Timed:
    """Time a function in a group; on a GPU, queue many calls and wait for the last."""

    def time(group: str, function: Callable[[], object], **facts: object) -> None:
        def queue() -> None:
            for _ in range(GPU_CALLS):
                function()
            backend.synchronize()

        benchmark.group = group
        benchmark.extra_info |= {"device": backend.device, **facts}
        if backend.is_host:
            benchmark(function)
            return
        benchmark.extra_info["calls_a_round"] = GPU_CALLS
        benchmark.pedantic(queue, rounds=9, warmup_rounds=2)

    return time
