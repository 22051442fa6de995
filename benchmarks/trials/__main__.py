"""Run the trials, print a row for each, exit with 1 if there was a fault."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from xpnet.benchmarks.trials import (
    calls,
    files,
    inputs,
    libraries,
    numbers,
    searches,
    threads,
)
from xpnet.benchmarks.trials.trial import Trial
from xpnet.common import choose

MODULES = (calls, files, inputs, libraries, numbers, searches, threads)
TRIALS: dict[str, Trial] = {
    found.name: found
    for module in MODULES
    for found in vars(module).values()
    if isinstance(found, Trial)
}


def run(trial: Trial, tries: int, seed: int) -> dict[str, Any]:
    """A row of the table: the trial, its tries, its faults, its seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="xpnet-trial-") as folder:
        faults = trial.run(tries, Path(folder), seed)
    seconds = round(time.perf_counter() - began, 1)
    row = {"trial": trial.name, "what": trial.what, "tries": tries}
    return {**row, "faults": faults, "seconds": seconds}


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xpnet.benchmarks.trials")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRIALS)}; all if none")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the tries, e.g. .1"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    try:
        chosen = [choose(name, TRIALS, "trial") for name in options.names or TRIALS]
    except ValueError as error:
        parser.error(str(error))
    rows = []
    for trial in chosen:
        tries = max(trial.quick, round(trial.tries * options.scale))
        row = run(trial, tries, options.seed)
        rows.append(row)
        found = ", ".join(f"{count} {fault}" for fault, count in row["faults"].items())
        print(f"{trial.name}: {tries} tries, {found} ({row['seconds']} s)", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(any(row["faults"].values()) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
