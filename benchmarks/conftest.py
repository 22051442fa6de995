"""What the pytest-benchmark suite shares: device, threads, the machine's facts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.machine import facts, overrides
from xpnet.benchmarks.options import cores

GPU_CALLS = 100  # queued before the device is waited for
Timed = Callable[[Callable[[], object]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """--device cuda runs everything on the GPU."""
    parser.addoption("--device", default="cpu", help="cpu, cuda or cuda:1 [cpu]")


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """BLAS, core type, threads, versions of NumPy, CuPy and CUDA, TF32, overrides."""
    machine_info["xpnet"] = {**facts(), "overrides": overrides()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is warmed up."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(warmup=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`threads`: all cores and 1; a GPU has no such choice."""
    if "threads" not in metafunc.fixturenames:
        return
    host = metafunc.config.getoption("--device") == "cpu"
    counts = sorted({cores(), 1}, reverse=True) if host else [cores()]
    metafunc.parametrize("threads", counts, indirect=True, ids="threads={}".format)


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Of --device; DeviceError, with the reason, where it does not work."""
    return get_backend(request.config.getoption("--device"))


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """BLAS and compiled loops limited to this many threads."""
    count: int = getattr(request, "param", None) or cores()
    with threadpool_limits(count, "blas"):
        yield count


@pytest.fixture
def timed(benchmark: Any, backend: Backend) -> Timed:
    """Time a function: calibrated on the host, queued and waited for on a GPU."""

    def device(function: Callable[[], object]) -> None:
        def queue() -> None:
            for _ in range(GPU_CALLS):
                function()
            backend.synchronize()

        benchmark.extra_info["calls_a_round"] = GPU_CALLS
        benchmark.pedantic(queue, rounds=9, warmup_rounds=2)

    benchmark.extra_info["device"] = backend.device
    return benchmark if backend.is_host else device
