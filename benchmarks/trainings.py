"""Whole trainings in fresh processes: cold starts, and time to an accuracy.

Rivals take turns, so that what slows the machine slows all of them. "cold" is the wall
time of a process that imports, trains XOR or the digits, and ends. "accuracy" is the
time from building a network to the first epoch whose weights classify 97% of the
validation digits, without imports; each round has its own seed, and each rival draws
its own weights and order.
"""

import tempfile
from pathlib import Path
from typing import Any

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.cases import ACCURACY, DIGITS, XOR, Task
from xpnet.benchmarks.process import run_once
from xpnet.benchmarks.tables import add_summaries, take_turns

ROUNDS = {"cold": 7, "accuracy": 9}
TASKS = {"cold": (XOR, DIGITS), "accuracy": (ACCURACY,)}
SECONDS = {"cold": "wall", "accuracy": "seconds"}  # the answer's key


def measure(
    part: str,
    names: tuple[str, ...],
    threads: int,
    rounds: int,
    tasks: tuple[Task, ...] | None = None,
) -> list[Answer]:
    """A result per task: {"task", "what", "threads", "rivals": {name: row}}.

    Args:
        part: "cold" or "accuracy".
        names: of the rivals.
        threads: of each process.
        rounds: trainings per rival.
        tasks: the part's own if None.
    """
    seconds, results = SECONDS[part], []
    kept = {seconds: "rounds_s", "epochs": "epochs", "accuracy": "accuracy"}
    for task in TASKS[part] if tasks is None else tasks:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "data.npz"
            task.write_data(file)

            words = task.name, str(file)

            def train(name: str, seed: int, words: Any = words) -> Answer:
                return run_once(threads, "tasks", name, *words, str(seed))

            rows = take_turns(names, rounds, train, kept)
        add_summaries(rows, "s")
        head = {"task": task.name, "what": task.what, "threads": threads}
        results.append({**head, "rivals": rows})
    return results
