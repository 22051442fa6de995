"""Facts about the machine: processor, BLAS, versions, what slows matrix products."""

import os
import platform
from contextlib import suppress
from importlib import metadata
from typing import Any, Protocol

# Variables that make a BLAS run other kernels than the processor's own.
SLOWING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
)
PACKAGES = (
    "numpy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "cupy",
    "ziglang",
    "threadpoolctl",
    "safetensors",
    "matplotlib",
)


class Device(Protocol):
    """A backend: its name, and the reason why it was chosen."""

    @property
    def device(self) -> str:
        """Such as "cpu" or "cuda:0"."""

    @property
    def reason(self) -> str:
        """Why this device."""


def collect(
    version: str, backend: Device, programs: str, libraries: dict[str, str]
) -> dict[str, Any]:
    """The facts as plain values.

    Args:
        version: of xpnet.
        backend: the device that `device="auto"` means here.
        programs: how recorded steps run here.
        libraries: versions of the CUDA libraries.
    """
    return {
        "device": backend.device,
        "why": backend.reason,
        "blas": blas_facts(),
        "programs": programs,
        "processor": _processor(),
        "cores": cores(),
        "versions": {
            "xpnet": version,
            "python": platform.python_version(),
            **versions(*PACKAGES),
        },
        "libraries": libraries,
        "warnings": slow_blas(),
    }


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas_facts() -> list[dict[str, Any]]:
    """Each BLAS that NumPy has loaded: name, version, core type, threads."""
    import numpy  # noqa: F401  (loads its BLAS)
    from threadpoolctl import threadpool_info

    return [
        {
            "name": pool.get("internal_api", "?"),
            "version": pool.get("version") or "?",
            "core": pool.get("architecture", "?"),
            "threads": pool.get("num_threads", 0),
        }
        for pool in threadpool_info()
        if pool.get("user_api") == "blas"
    ]


def overrides() -> dict[str, str]:
    """The variables of this process that force other BLAS kernels."""
    return {name: os.environ[name] for name in SLOWING if os.environ.get(name)}


def slow_blas() -> list[str]:
    """A sentence for each variable that forces other BLAS kernels."""
    return [
        f"{name}={value} overrides the BLAS kernels chosen for this processor and can "
        f"halve the speed of matrix products; `unset {name}`"
        for name, value in overrides().items()
    ]


def versions(*packages: str) -> dict[str, str]:
    """The versions of installed packages; a missing package is left out."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
