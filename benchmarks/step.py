"""The training step of one rival, in the rival's own process.

{"prepare": case}   {"loss0", "loss20", "first_us"}
{"warm": seconds}   {"warm_up_steps", "state"}
{"time": seconds}   {"us": median microseconds per step, "series": how many}
"""

import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.rivals import STEPS
from xpnet.common.machine import versions

CHECKED_STEPS = 20


class Server:
    """Answers requests for one rival.

    Args:
        make: case -> the step, the loss of the batch, and perhaps a function that
            describes the rival's state.
    """

    def __init__(self, make: Callable[[Case], tuple[Any, ...]]) -> None:
        self.make = make
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
        self.step, self.state = lambda: None, None  # frees the memory of the last case
        step, loss, *state = self.make(case)
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
        """Run the step for `seconds`, so that compilers finish before the timing."""
        steps, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.step()
            steps += 1
        answer: Answer = {"warm_up_steps": steps}
        return answer | ({"state": self.state()} if self.state else {})


def measure(step: Callable[[], object], seconds: float) -> Answer:
    """Median microseconds per step over short series that fill `seconds`."""
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


def serve(name: str, threads: str) -> Served:
    """The versions of a rival's packages, and what answers its requests."""
    file, function = STEPS.get(name, (f"{name}_", "prepare"))
    module: Any = importlib.import_module(f"xpnet.benchmarks.rivals.{file}")
    if name.startswith("torch"):  # the environment does not limit its threads
        import torch

        torch.set_num_threads(int(threads))
    make = getattr(module, function)
    return {"versions": versions(*module.PACKAGES)}, Server(make).answer
