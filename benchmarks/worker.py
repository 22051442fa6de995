"""One rival in a process of its own: reads a request a line, answers a line.

Requests and answers are JSON: {"prepare": case} -> {"loss0", "loss20", "first_us"},
{"time": seconds} -> {"us": median microseconds a step}, {"quit": true}. Two frameworks
in one process fight over the cores; idle, a worker waits in a read.
"""

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from xpnet.benchmarks.cases import Case

CHECKED_STEPS = 20


def prepare(module: Any, request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the rival's step and run the checked steps."""
    step, loss = module.prepare(Case.from_dict(request))
    answer: dict[str, Any] = {"loss0": loss() if loss else None}
    began = time.perf_counter()
    step()
    answer["first_us"] = 1e6 * (time.perf_counter() - began)
    for _ in range(CHECKED_STEPS - 1):
        step()
    answer["loss20"] = loss() if loss else None
    return step, answer


def measure(step: Callable[[], object], seconds: float) -> dict[str, float]:
    """Median microseconds a step over short series that fill `seconds`."""
    began = time.perf_counter()
    step()
    once = time.perf_counter() - began
    series = max(1, min(1000, int(0.005 / max(once, 1e-7))))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(series):
            step()
        times.append((time.perf_counter() - began) / series)
    return {"us": 1e6 * statistics.median(times), "series": len(times)}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed versions; a package that is not there is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Serve requests until told to quit."""
    name, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    step: Any = None
    try:
        module = importlib.import_module(f"xpnet.benchmarks.rivals.{name}_")
        limit_threads(name, threads)
        hello: dict[str, Any] = {"versions": versions(module.PACKAGES)}
    except ImportError as error:
        hello = {"missing": str(error)}
    print(json.dumps(hello), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "quit" in request:
            break
        try:
            if "prepare" in request:
                step = None
                step, answer = prepare(module, request["prepare"])
            else:
                answer = measure(step, request["time"])
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers)


def limit_threads(name: str, threads: int) -> None:
    """What the environment's variables do not settle."""
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    for module in {"jax": "jax", "sklearn": "sklearn", "thinc": "thinc"}.items():
        if name == module[0]:
            importlib.import_module(module[1])


if __name__ == "__main__":
    main()
