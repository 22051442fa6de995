"""Facts about the machine and its GPU for a record; the environment of its workers."""

import os
import platform
import subprocess
import sys
from typing import Any

import xpnet as xn
from xpnet.backend import Backend, get_backend
from xpnet.backend.versions import cuda_versions
from xpnet.benchmarks.answers import Served
from xpnet.common import machine
from xpnet.compiler import how_compiled

Facts = dict[str, Any]
CUDA_VARIABLES = ("CUPY_TF32", "CUPY_ACCELERATORS", "NVIDIA_TF32_OVERRIDE")
PROPERTIES = {
    "memory": "totalGlobalMem",
    "multiprocessors": "multiProcessorCount",
    "L2 cache": "l2CacheSize",
}
SMI = (
    *("clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem"),
    *("power.draw", "power.limit", "temperature.gpu", "driver_version"),
)


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
    return {
        "cupy": cupy.__version__,
        "runtime": runtime.runtimeGetVersion(),
        "driver": runtime.driverGetVersion(),
        "name": _name(runtime.getDeviceProperties(0)),
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


def device_facts(backend: Backend) -> Facts:
    """Name, architecture, memory, precision, and the variables that change products."""
    runtime = backend.xp.cuda.runtime
    properties: Facts = runtime.getDeviceProperties(backend.ordinal)
    found: Facts = {
        "device": backend.device,
        "name": _name(properties),
        "architecture": f"sm_{properties['major']}{properties['minor']}",
        "precision": backend.precision,
    }
    found |= {k: properties[v] for k, v in PROPERTIES.items() if v in properties}
    return found | {"variables": cuda_variables()}


def _name(properties: Facts) -> str:
    name = properties["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def clocks() -> dict[str, str]:
    """Clocks, power and temperature of the first GPU, by nvidia-smi."""
    query = f"--query-gpu={','.join(SMI)}"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in done.stdout.partition("\n")[0].split(",")]
    right = not done.returncode and len(values) == len(SMI)
    return dict(zip(SMI, values, strict=True)) if right else {}
