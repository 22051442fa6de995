"""What a record must say about the machine that it was made on."""

import os
import platform
import sys
from typing import Any

from xpnet.commands.info import collect


def facts() -> dict[str, Any]:
    """Processor, BLAS, core type, threads, versions, and what slows them."""
    return {
        **collect(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def clean_environment(threads: int) -> dict[str, str]:
    """This process' environment without BLAS overrides, for `threads` threads."""
    from xpnet.commands.info import SLOWING

    environment = {k: v for k, v in os.environ.items() if k not in SLOWING}
    for name in ("OPENBLAS", "OMP", "MKL", "NUMBA"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = flags
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return environment
