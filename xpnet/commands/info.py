"""`xpnet info`: what this machine gives a network to run on."""

import json
import os
import platform
from argparse import Namespace
from importlib import metadata
from typing import Any

from xpnet.backend import get_backend
from xpnet.backend.versions import cuda_versions
from xpnet.compiler import how_compiled

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
    "numba",
    "threadpoolctl",
    "safetensors",
    "matplotlib",
)


def run(options: Namespace) -> int:
    """Print it; see `xpnet info --help`."""
    facts = collect()
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f"device      {facts['device']}: {facts['why']}")
    for blas in facts["blas"]:
        print(
            f"BLAS        {blas['name']} {blas['version']}, core type {blas['core']}, "
            f"{blas['threads']} threads"
        )
    print(f"programs    {facts['programs']}")
    print(f"processor   {facts['processor']}, {facts['cores']} cores for this process")
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    print(f"versions    {versions}")
    if facts["libraries"]:
        found = ", ".join(f"{k} {v}" for k, v in facts["libraries"].items())
        print(f"CUDA        {found}")
    for warning in facts["warnings"]:
        print(f"warning     {warning}")
    return 0


def collect() -> dict[str, Any]:
    """The facts as plain values."""
    backend = get_backend("auto")
    return {
        "device": backend.device,
        "why": backend.reason,
        "blas": blas_facts(),
        "programs": how_compiled(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "versions": _versions(),
        "libraries": cuda_versions(),
        "warnings": slow_blas(),
    }


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


def slow_blas() -> list[str]:
    """A sentence for each variable that forces other BLAS kernels."""
    return [
        f"{name}={os.environ[name]} overrides the BLAS kernels chosen for this "
        f"processor and can halve the speed of matrix products; `unset {name}`"
        for name in SLOWING
        if os.environ.get(name)
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {"xpnet": _version("xpnet"), "python": platform.python_version()}
    found |= {name: _version(name) for name in PACKAGES}
    return {name: version for name, version in found.items() if version}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        if package == "xpnet":
            from xpnet import __version__

            return __version__
        return ""
