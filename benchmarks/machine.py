"""What a record must say about the machine that it was made on.

python -m xpnet.benchmarks.machine     # the facts, as JSON
"""

import json
import os
import platform
import subprocess
import sys
from typing import Any

from xpnet.commands.info import SLOWING, collect

Facts = dict[str, Any]
CUDA_VARIABLES = ("CUPY_TF32", "CUPY_ACCELERATORS", "NVIDIA_TF32_OVERRIDE")


def facts() -> Facts:
    """Processor, BLAS, core type, threads, versions, and the GPU where one works."""
    found = {
        **collect(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
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
        # Off unless asked for; CuPy reads the variable at the first product.
        "tf32": os.environ.get("CUPY_TF32") == "1",
        "variables": {k: os.environ[k] for k in CUDA_VARIABLES if k in os.environ},
    }


def overrides() -> dict[str, str]:
    """Variables of this process' environment that force other BLAS kernels."""
    return {name: os.environ[name] for name in SLOWING if os.environ.get(name)}


def clean_environment(threads: int) -> dict[str, str]:
    """This process' environment without BLAS overrides, for `threads` threads."""
    environment = {k: v for k, v in os.environ.items() if k not in SLOWING}
    # Without it Python would compile what is not installed at every start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in ("OPENBLAS", "OMP", "MKL", "NUMBA"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = flags
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return environment


def facts_of_workers(threads: int) -> Facts:
    """The facts as the rivals' processes meet them, overrides removed."""
    done = subprocess.run(
        [sys.executable, "-m", "xpnet.benchmarks.machine"],
        env=clean_environment(threads),
        capture_output=True,
        text=True,
        check=True,
    )
    found: Facts = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(facts(), indent=1))
