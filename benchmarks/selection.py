"""Seconds of a grid search with cross-validation: settings × folds of a small network.

    python -m xpnet.benchmarks.selection     # --help for the options

Each search is a fresh process; the clock runs from the first network built to the last
score: imports do not count, compilers do. Rivals take turns, a seed per round. The mean
validation accuracy over all networks must be that of a loop over `Trainer` to one
percent; a rival whose accuracy differs is left out, and the table says so.
"""

import importlib
import json
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.cases import Digits, Study
from xpnet.benchmarks.options import Command
from xpnet.benchmarks.process import run_once
from xpnet.benchmarks.tables import (
    Row,
    Table,
    add_summaries,
    inverse,
    measured,
    take_turns,
    threads_of,
)

# name: (label, package, function of a module in `rivals`)
SEARCHERS = {
    "xpnet": ("xpnet, one stack", "xpnet", "select_xpnet.search"),
    "estimators": (
        "xpnet.sklearn, GridSearch",
        "xpnet",
        "select_sklearn.search_xpnet",
    ),
    "loop": ("xpnet, a loop over Trainer", "xpnet", "select_xpnet.search_in_a_loop"),
    "torch": ("PyTorch, torch.func.vmap", "torch", "select_torch.search"),
    "sklearn": (
        "scikit-learn, GridSearchCV(n_jobs=2)",
        "sklearn",
        "select_sklearn.search",
    ),
}
AGREE, ROUNDS = 0.01, 5
COLUMNS = ("", "seconds", "IQR", "this / xpnet", "accuracy", "best")


def measure(
    names: tuple[str, ...], threads: int, rounds: int, study: Study | None = None
) -> Answer:
    """{"what", "threads", "study", "rivals": {name: row}}."""
    study = study or Study()
    kept = {"seconds": "rounds_s", "accuracy": "accuracy", "best": "best"}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{seed}.npz" for seed in range(rounds)]
        for seed, file in enumerate(files):
            study.write_data(file, seed)

        def ask(name: str, seed: int) -> Answer:
            return search(name, study, files[seed], seed, threads)

        rows = take_turns(names, rounds, ask, kept)
    check_accuracies(rows)
    add_summaries(rows, "s")
    head = {"what": study.what, "threads": threads, "study": asdict(study)}
    return {**head, "rivals": rows}


def check_accuracies(rows: dict[str, Answer]) -> None:
    """Leave out a rival whose accuracy is not that of the loop over trainers."""
    first = rows.get("loop", rows.get("xpnet", {}))
    if "accuracy" not in first:
        return
    expected = statistics.mean(first["accuracy"])
    for _, row in list(measured(rows)):
        found = statistics.mean(row["accuracy"])
        if abs(found - expected) > AGREE:
            row["note"] = (
                f"left out: mean validation accuracy {found:.4f}, not {expected:.4f}"
            )


def search(name: str, study: Study, file: Path, seed: int, threads: int) -> Answer:
    """One search in its own process."""
    plain = json.dumps(asdict(study))
    return run_once(threads, "selection", name, plain, str(file), str(seed))


def serve(name: str, study: str, file: str, seed: str) -> Served:
    """One search in this process; the answer is the greeting."""
    _, package, function = SEARCHERS[name]
    module, _, function = function.partition(".")
    rival: Any = importlib.import_module(f"xpnet.benchmarks.rivals.{module}")
    settings, data = Study.from_dict(json.loads(study)), Digits.read(file)
    began = time.perf_counter()
    accuracies = getattr(rival, function)(settings, data, int(seed))
    seconds = time.perf_counter() - began
    version = importlib.import_module(package).__version__
    found = {"accuracy": statistics.mean(accuracies), "best": max(accuracies)}
    return {"seconds": seconds, "version": str(version), **found}, None


def table(result: Answer) -> Table:
    """A row per rival: seconds, their spread, ratio, mean and best accuracy."""
    rows = []
    for name, row in result["rivals"].items():
        label = SEARCHERS[name][0] if name in SEARCHERS else name
        if "note" in row:
            rows.append(Row(name, label, (), row["note"]))
            continue
        times = (f"{row['s']:.2f}", f"{row['iqr_s']:.2f}", inverse(row))
        accuracy, best = statistics.mean(row["accuracy"]), statistics.mean(row["best"])
        rows.append(Row(name, label, (*times, f"{accuracy:.4f}", f"{best:.4f}")))
    return Table(f"{result['what']}, {threads_of(result)}", COLUMNS, tuple(rows))


def main(arguments: list[str] | None = None) -> None:
    """Measure what the options ask for."""

    def chosen(names: tuple[str, ...], options: Any) -> list[Answer]:
        return [measure(names, options.threads, options.rounds)]

    command = Command("selection", SEARCHERS, ROUNDS)
    command.run(arguments, chosen, lambda result: table(result).text())


if __name__ == "__main__":
    main()
