"""Step time against width and against batch, for the plots.

python -m xpnet.benchmarks.sweep     # --help for the rest
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xpnet.benchmarks.cases import RATES, Case
from xpnet.benchmarks.options import add_timing, names_in, timing
from xpnet.benchmarks.race import print_result, race
from xpnet.benchmarks.record import new_record, write
from xpnet.benchmarks.rivals import RIVALS
from xpnet.benchmarks.timing import Timing

Answer = dict[str, Any]
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
        chosen = points(axis, optimizer)
        for result in race(names, chosen, threads, how, show):
            value = result["sizes"][1] if axis == "width" else result["batch"]
            results.append({"axis": axis, "value": value, **result})
    return results


def main(arguments: list[str] | None = None) -> None:
    """Run the sweeps that the options ask for."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Step time against width and batch.")
    parser.add_argument("--rivals", default=",".join(SWEPT), help="[%(default)s]")
    parser.add_argument("--optimizer", default="adam", choices=tuple(RATES))
    add_timing(parser, SHORT)
    options = parser.parse_args(arguments)
    names = names_in(options.rivals, RIVALS, "rivals")
    how = timing(options)
    command = shlex.join(["python", "-m", "xpnet.benchmarks.sweep", *arguments])
    record = new_record(command, how, options.threads) if options.json else {}
    results = sweep(names, options.optimizer, options.threads, how, print_result)
    if options.json:
        write(record | {"sweep": results}, Path(options.json))


if __name__ == "__main__":
    main()
