"""One whole training in a process of its own, as a user's script would do it.

    python -m xpnet.benchmarks.train RIVAL TASK DATA SEED

prints {"seconds", "epochs", "accuracy", "versions"} or {"missing"} or {"failed"} as
JSON. `seconds` runs from building the network to its last step; the process' own time,
imports included, is for the one who started it.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

from xpnet.benchmarks.tasks import TASKS, Data, Task

Answer = dict[str, Any]


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


def main() -> None:
    """Train what the arguments say."""
    name, task, file, seed = sys.argv[1:5]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answer
    try:
        module = importlib.import_module(f"xpnet.benchmarks.rivals.train_{name}")
        answer = train(module, TASKS[task], Data.read(file), int(seed))
        answer["version"] = module.version()
    except ImportError as error:
        answer = {"missing": str(error)}
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
