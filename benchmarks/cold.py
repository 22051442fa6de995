"""From the start of a process to its end: imports, compilers and a small training.

    python -m xpnet.benchmarks.cold     # --help for the rest

Every rival trains XOR and the digits in a fresh process, several times, one rival after
the other, so that what slows the machine slows all. The figure is wall seconds.
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xpnet.benchmarks.fresh import ask, finish, note
from xpnet.benchmarks.options import cores, names_in
from xpnet.benchmarks.record import new_record, write
from xpnet.benchmarks.rivals import TRAINERS
from xpnet.benchmarks.tables import training_table
from xpnet.benchmarks.tasks import DIGITS, XOR, Task
from xpnet.benchmarks.timing import Timing
from xpnet.common import check_file

Answer = dict[str, Any]
Names = tuple[str, ...]
ROUNDS = 7


def measure(
    names: Names, threads: int, rounds: int, tasks: tuple[Task, ...] = (XOR, DIGITS)
) -> list[Answer]:
    """A result a task: {"task", "what", "threads", "rivals": {name: row}}."""
    return [interleaved(task, names, threads, rounds, _wall) for task in tasks]


def _wall(row: Answer) -> float:
    return float(row["wall"])


def interleaved(
    task: Task, names: Names, threads: int, rounds: int, figure: Callable[..., float]
) -> Answer:
    """Rounds of fresh processes; `figure` picks the seconds of one of them."""
    rows: dict[str, Answer] = {name: {"rounds_s": [], "epochs": []} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        task.write_data(file)
        for seed in range(rounds):
            for name, row in rows.items():
                if "note" not in row:
                    _one(row, figure, train(name, task, file, seed, threads))
    finish(rows)
    head = {"task": task.name, "what": task.what, "threads": threads}
    return {**head, "rivals": rows}


def _one(row: Answer, figure: Callable[..., float], answer: Answer) -> None:
    if not note(row, answer):
        row["rounds_s"].append(figure(answer))
        row["epochs"].append(answer["epochs"])
        row.setdefault("accuracy", []).append(answer["accuracy"])
        row["version"] = answer["version"]


def train(name: str, task: Task, file: Path, seed: int, threads: int) -> Answer:
    """What `train` printed, and the wall seconds of its process."""
    began = time.perf_counter()
    answer = ask(threads, "train", name, task.name, str(file), str(seed))
    wall = time.perf_counter() - began
    return answer | {"wall": wall}


def run(
    part: str, arguments: list[str], rounds: int, measured: Callable[..., Any]
) -> None:
    """The command line of this part and of `accuracy`."""
    parser = argparse.ArgumentParser(description="Trainings in fresh processes.")
    add = parser.add_argument
    add("--rivals", default=",".join(TRAINERS), help="[%(default)s]")
    add("--threads", type=int, default=cores(), help="[%(default)s]")
    add("--rounds", type=int, default=rounds, help="[%(default)s]")
    add("--json", metavar="FILE", help="write the record there")
    options = parser.parse_args(arguments)
    how = Timing(0.0, options.rounds)
    names = names_in(options.rivals, TRAINERS, "rivals")
    if options.json:
        check_file(options.json, "--json")
    command = shlex.join(["python", "-m", f"xpnet.benchmarks.{part}", *arguments])
    record = new_record(command, how, options.threads) if options.json else {}
    results = measured(names, options.threads, options.rounds)
    for result in results:
        print(f"\n{training_table(result).text()}")
    if options.json:
        write(record | {part: results}, Path(options.json))


if __name__ == "__main__":
    run("cold", sys.argv[1:], ROUNDS, measure)
