"""What the record says of the GPU: what it is, how fast it is clocked now."""

import csv
import io
import os
import subprocess
from typing import Any

from xpnet.backend import Backend
from xpnet.benchmarks.machine import CUDA_VARIABLES

Facts = dict[str, Any]
PROPERTIES = {
    "memory": "totalGlobalMem",
    "multiprocessors": "multiProcessorCount",
    "L2 cache": "l2CacheSize",
}
SMI = (
    *("clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem"),
    *("power.draw", "power.limit", "temperature.gpu", "driver_version"),
)


def device_facts(backend: Backend) -> Facts:
    """Name, architecture, memory, and what the environment asks of products."""
    runtime = backend.xp.cuda.runtime
    properties: Facts = runtime.getDeviceProperties(backend.ordinal)
    name = properties["name"]
    found: Facts = {
        "device": backend.device,
        "name": name.decode() if isinstance(name, bytes) else name,
        "architecture": f"sm_{properties['major']}{properties['minor']}",
        "precision": backend.precision,
    }
    found |= {k: properties[v] for k, v in PROPERTIES.items() if v in properties}
    found["variables"] = {k: os.environ[k] for k in CUDA_VARIABLES if k in os.environ}
    return found


def clocks() -> dict[str, str]:
    """What nvidia-smi says of clocks, power and temperature of the first GPU."""
    query = f"--query-gpu={','.join(SMI)}"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = list(csv.reader(io.StringIO(done.stdout), skipinitialspace=True))
    if done.returncode or not rows or len(rows[0]) != len(SMI):
        return {}
    return dict(zip(SMI, rows[0], strict=True))
