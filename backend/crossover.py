"""From which size on a GPU is faster: measured once by `xpnet compare`, remembered.

A measurement is a table of speeds (width of a layer × batch), kept in `crossover.json`
in xpnet's cache folder under the GPU's name, the dtype, the threads of the CPU and the
versions that it was made with. Nothing is measured here: without a table there is no
answer, and a damaged file is no table.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.backend.backend import Backend
from xpnet.backend.blas import blas_threads
from xpnet.common.cache import keep, kept

FILE = "crossover.json"  # of everything remembered
FASTER = 1.1  # a ratio below this is within what timings differ by chance


@dataclass(frozen=True)
class Crossover:
    """How many times as fast B is as A, over a grid.

    Attributes:
        widths, batches: of the grid, rising.
        ratios: time of A / time of B: a row a width, a column a batch.

    Raises:
        ValueError: an empty grid, one that does not rise, ratios that do not fit it.
    """

    widths: tuple[int, ...]
    batches: tuple[int, ...]
    ratios: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for axis in (self.widths, self.batches):
            if not axis or list(axis) != sorted(set(axis)) or axis[0] < 1:
                raise ValueError(f"crossover: expected rising sizes, got {axis}")
        table = np.array(self.ratios, float)
        fits = table.shape == (len(self.widths), len(self.batches))
        if not fits or not (np.isfinite(table) & (table > 0.0)).all():
            raise ValueError("crossover: expected a ratio above 0 for each cell")

    def ratio(self, width: int, batch: int) -> float:
        """Time of A / time of B there.

        Interpolated between cells in the logarithm of everything, for speeds are
        powers of sizes; beyond the grid it is that of its edge.
        """
        logs = np.log(np.array(self.ratios, float))
        rows = [np.interp(math.log(batch), np.log(self.batches), row) for row in logs]
        return float(np.exp(np.interp(math.log(width), np.log(self.widths), rows)))

    def smallest(self) -> tuple[int, int] | None:
        """(width, batch) of the smallest cell, by their product, where B is faster."""
        cells = [
            (width * batch, width, batch)
            for width, row in zip(self.widths, self.ratios, strict=True)
            for batch, ratio in zip(self.batches, row, strict=True)
            if ratio >= FASTER
        ]
        return min(cells)[1:] if cells else None


def machine(gpu: Backend, dtype: str = "float32") -> str:
    """What a measurement holds for: `gpu`, the dtype, the CPU's threads, versions."""
    properties = gpu.xp.cuda.runtime.getDeviceProperties(gpu.ordinal)
    name = properties["name"]
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    versions = f"numpy {np.__version__}, cupy {getattr(gpu.xp, '__version__', '?')}"
    return f"{name}, {dtype}, {blas_threads()} CPU threads, {versions}"


def remember(crossover: Crossover, gpu: Backend, dtype: str = "float32") -> Path | None:
    """Keep the measurement of `gpu` (B) against the CPU (A).

    Returns:
        The file; None where it cannot be written.
    """
    rows = _read()
    rows[machine(gpu, dtype)] = {
        "widths": crossover.widths,
        "batches": crossover.batches,
        "ratios": crossover.ratios,
    }
    try:
        return keep(FILE, json.dumps(rows, indent=1).encode())
    except OSError:
        return None


def recall(gpu: Backend, dtype: str = "float32") -> Crossover | None:
    """What was remembered for `gpu`; None where nothing, or nothing sound, was."""
    rows = _read()
    row: Any = rows.get(machine(gpu, dtype)) if rows else None
    try:
        widths, batches = (tuple(map(int, row[k])) for k in ("widths", "batches"))
        ratios = tuple(tuple(map(float, line)) for line in row["ratios"])
        return Crossover(widths, batches, ratios)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def prefers_gpu(
    width: int, batch: int, gpu: Backend, dtype: str = "float32"
) -> bool | None:
    """Whether `gpu` was faster than the CPU at this width and batch size.

    None where nothing was measured on this machine.
    """
    found = recall(gpu, dtype)
    return None if found is None else found.ratio(width, batch) > 1.0


def _read() -> dict[str, Any]:
    """What the file holds; nothing where it is missing or damaged."""
    try:
        rows = json.loads(kept(FILE) or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return rows if isinstance(rows, dict) else {}
