"""One rival's training in its own process.

The worker prints {"seconds", "epochs", "accuracy", "version"}; `seconds` runs from
building the network to its last step, without imports.
"""

import importlib
import time
from typing import Any

from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.cases import TASKS, Data, Task


def train(module: Any, task: Task, data: Data, seed: int) -> Answer:
    """Train until the epochs are done or the target is reached."""
    began = time.perf_counter()
    fit, predict = module.learner(task, data, seed)
    if task.target is None:
        fit(task.epochs)
        seconds, epochs = time.perf_counter() - began, task.epochs
        accuracy = float((predict(data.xv) == data.yv).mean())
        return {"seconds": seconds, "epochs": epochs, "accuracy": accuracy}
    for epoch in range(1, task.epochs + 1):
        fit(1)
        accuracy = float((predict(data.xv) == data.yv).mean())
        if accuracy >= task.target:
            seconds = time.perf_counter() - began
            return {"seconds": seconds, "epochs": epoch, "accuracy": accuracy}
    return {"failed": f"{accuracy:.4f} after {task.epochs} epochs"}


def serve(name: str, task: str, file: str, seed: str) -> Served:
    """Train the network of one rival; the answer is the greeting."""
    module = importlib.import_module(f"xpnet.benchmarks.rivals.{name}_")
    answer = train(module, TASKS[task], Data.read(file), int(seed))
    package: Any = importlib.import_module(name)
    return answer | {"version": str(package.__version__)}, None
