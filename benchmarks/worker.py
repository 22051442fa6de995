"""One rival in a process of its own: reads a request a line, answers a line.

Requests and answers are JSON:

    {"prepare": case}   {"loss0", "loss20", "first_us"}
    {"warm": seconds}   {"warm_up_steps", "state"}
    {"time": seconds}   {"us": median microseconds a step, "series": of how many}
    {"quit": true}

Two frameworks in one process fight over the cores; idle, a worker waits in a read.
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
IMPORTED = ("jax", "sklearn", "thinc")  # first used when a case is prepared
Answer = dict[str, Any]


class Server:
    """Answers requests for one rival.

    Args:
        module: with `prepare(case)`.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.step: Callable[[], object] = lambda: None
        self.state: Callable[[], str] | None = None

    def answer(self, request: Answer) -> Answer:
        """What a request asks for."""
        if "prepare" in request:
            return self.prepare(Case.from_dict(request["prepare"]))
        if "warm" in request:
            return self.warm(request["warm"])
        return measure(self.step, request["time"])

    def prepare(self, case: Case) -> Answer:
        """Build the rival's step and run the checked steps."""
        self.step, self.state = lambda: None, None  # the last case's memory goes first
        step, loss, *state = self.module.prepare(case)
        answer: Answer = {"loss0": loss() if loss else None}
        began = time.perf_counter()
        step()
        answer["first_us"] = 1e6 * (time.perf_counter() - began)
        for _ in range(CHECKED_STEPS - 1):
            step()
        answer["loss20"] = loss() if loss else None
        self.step, self.state = step, state[0] if state else None
        return answer

    def warm(self, seconds: float) -> Answer:
        """Run the step for `seconds`; compilers that wait for work get it here."""
        steps, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.step()
            steps += 1
        answer: Answer = {"warm_up_steps": steps}
        return answer | ({"state": self.state()} if self.state else {})


def measure(step: Callable[[], object], seconds: float) -> Answer:
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


def limit_threads(name: str, threads: int) -> None:
    """What the environment's variables do not settle."""
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    if name in IMPORTED:
        importlib.import_module(name)


def main() -> None:
    """Serve requests until told to quit."""
    name, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    try:
        module = importlib.import_module(f"xpnet.benchmarks.rivals.{name}_")
        limit_threads(name, threads)
        hello: Answer = {"versions": versions(module.PACKAGES)}
    except ImportError as error:
        module, hello = None, {"missing": str(error)}
    print(json.dumps(hello), file=answers)
    server = Server(module)
    for line in sys.stdin:
        request = json.loads(line)
        if "quit" in request:
            break
        try:
            answer = server.answer(request)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
