"""Facts about the machine for a record, and the environment of its workers."""

import os
import platform
import sys
from typing import Any

import xpnet as xn
from xpnet.backend import get_backend
from xpnet.backend.versions import cuda_versions
from xpnet.benchmarks.answers import Served
from xpnet.common import machine
from xpnet.compiler import how_compiled

Facts = dict[str, Any]
CUDA_VARIABLES = ("CUPY_TF32", "CUPY_ACCELERATORS", "NVIDIA_TF32_OVERRIDE")


def collect() -> Facts:
    """Device, processor, BLAS, core type, threads, versions."""
    device = get_backend("auto")
    return machine.collect(xn.__version__, device, how_compiled(), cuda_versions())


def facts() -> Facts:
    """These facts, the system, and the GPU if one works."""
    system = {"system": platform.system(), "python": platform.python_version()}
    found = {**collect(), **system}
    if found["device"] != "cpu":
        found["cuda"] = cuda_facts()
    return found


def cuda_facts() -> Facts:
    """CUDA's versions, the device, and whether float32 products may be TF32."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {
        "cupy": cupy.__version__,
        "runtime": runtime.runtimeGetVersion(),
        "driver": runtime.driverGetVersion(),
        "name": properties["name"].decode(),
        # Off by default; CuPy reads the variable at the first product.
        "tf32": os.environ.get("CUPY_TF32") == "1",
        "variables": cuda_variables(),
    }


def cuda_variables() -> dict[str, str]:
    """The variables of this process that change how CuPy computes."""
    return {k: os.environ[k] for k in CUDA_VARIABLES if k in os.environ}


def clean_environment(threads: int) -> dict[str, str]:
    """This process' environment without BLAS overrides, for `threads` threads."""
    environment = {k: v for k, v in os.environ.items() if k not in machine.SLOWING}
    # With it Python would compile a checkout again at every start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in ("OPENBLAS", "OMP", "MKL"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = flags
    # Otherwise JAX takes three quarters of a GPU's memory when it starts.
    environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return environment


def serve() -> Served:
    """The facts as a rival's process sees them; they are the greeting."""
    return facts(), None
