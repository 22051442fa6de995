"""Facts about the GPU for the record: its properties and its clocks."""

import csv
import io
import subprocess
from typing import Any

from xpnet.backend import Backend
from xpnet.benchmarks.machine import cuda_variables

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
    """Name, architecture, memory, precision, and the variables that change products."""
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
    return found | {"variables": cuda_variables()}


def clocks() -> dict[str, str]:
    """Clocks, power and temperature of the first GPU, by nvidia-smi."""
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
