"""Step time against width and against batch, for the charts."""

from collections.abc import Callable

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.race import race
from xpnet.benchmarks.timing import Timing

WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 4, 16, 64, 256, 1024, 2048)
SWEPT = ("xpnet", "products", "numpy", "torch")
SHORT = Timing(2.5, 3, 0.1)


def points(axis: str, optimizer: str) -> list[Case]:
    """784-w-10 at batch 128 for the axis "width", 784-128-10 for "batch"."""
    if axis == "width":
        return [Case((784, width, 10), 128, optimizer) for width in WIDTHS]
    return [Case((784, 128, 10), batch, optimizer) for batch in BATCHES]


def sweep(
    names: tuple[str, ...],
    optimizer: str,
    threads: int,
    how: Timing,
    show: Callable[[Answer], None] | None = None,
) -> list[Answer]:
    """The race's results for every point, with "axis" and "value"."""
    results = []
    for axis in ("width", "batch"):
        for result in race(names, points(axis, optimizer), threads, how, show):
            value = result["sizes"][1] if axis == "width" else result["batch"]
            results.append({"axis": axis, "value": value, **result})
    return results
