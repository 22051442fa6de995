"""Seconds of a grid search with cross-validation: settings × folds of a small network.

    python -m xpnet.benchmarks.selection     # --help for the rest

Each search is a fresh process; the clock runs from the first network built to the last
score (imports are not counted, compilers are). Rivals take turns, a seed a round. The
mean validation accuracy over all networks must be that of a loop over `Trainer` to one
percent; who computes something else is left out, and the table says so.
"""

import argparse
import importlib
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from xpnet.benchmarks.fresh import ask, finish, note
from xpnet.benchmarks.options import cores, names_in
from xpnet.benchmarks.record import new_record, write
from xpnet.benchmarks.study import Digits, Study
from xpnet.benchmarks.summary import measured
from xpnet.benchmarks.timing import Timing
from xpnet.common import check_file

Answer = dict[str, Any]
SEARCHERS = {
    "xpnet": "xpnet, one stack",
    "estimators": "xpnet.sklearn, GridSearch",
    "loop": "xpnet, a loop over Trainer",
    "torch": "PyTorch, torch.func.vmap",
    "sklearn": "scikit-learn, GridSearchCV(n_jobs=2)",
}
AGREE, ROUNDS = 0.01, 5


def measure(
    names: tuple[str, ...], threads: int, rounds: int, study: Study | None = None
) -> Answer:
    """{"what", "threads", "study", "rivals": {name: row}}."""
    study = study or Study()
    rows: dict[str, Answer] = {name: {"rounds_s": []} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        for seed in range(rounds):
            study.write_data(file, seed)
            for name, row in rows.items():
                if "note" not in row:
                    _one(row, search(name, study, file, seed, threads))
    check_accuracies(rows)
    finish(rows)
    head = {
        "what": study.what,
        "threads": threads,
        "study": json.loads(study.to_json()),
    }
    return {**head, "rivals": rows}


def _one(row: Answer, answer: Answer) -> None:
    if not note(row, answer):
        row["rounds_s"].append(answer["seconds"])
        row.setdefault("accuracy", []).append(statistics.mean(answer["accuracies"]))
        row.setdefault("best", []).append(max(answer["accuracies"]))
        row["version"] = answer["version"]


def check_accuracies(rows: dict[str, Answer]) -> None:
    """Leave out who learns something else than the loop over trainers."""
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
    """What a process of its own says of one search."""
    place = ("--data", str(file), "--seed", str(seed))
    what = ("--search", name, "--study", study.to_json())
    return ask(threads, "selection", *what, *place)


def serve(name: str, study: Study, file: str, seed: int) -> Answer:
    """One search in this process."""
    try:
        module = importlib.import_module(f"xpnet.benchmarks.rivals.select_{name}")
        data = Digits.read(file)
        began = time.perf_counter()
        accuracies = module.search(study, data, seed)
        seconds = time.perf_counter() - began
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"seconds": seconds, "accuracies": accuracies, "version": module.version()}


def text(result: Answer) -> str:
    """The table."""
    head = f"{'':38}{'seconds':>9}{'IQR':>8}{'this / xpnet':>14}"
    head += f"{'accuracy':>10}{'best':>8}"
    lines = [f"{result['what']}, {result['threads']} threads", head]
    for name, row in result["rivals"].items():
        label = f"{SEARCHERS[name]:38}"
        if "note" in row:
            lines.append(f"{label}  {row['note']}")
            continue
        ratio = row.get("xpnet_over_this")
        times = f"{1.0 / ratio:.1f}" if ratio else ""
        lines.append(
            f"{label}{row['s']:>9.2f}{row['iqr_s']:>8.2f}{times:>14}"
            f"{statistics.mean(row['accuracy']):>10.4f}"
            f"{statistics.mean(row['best']):>8.4f}"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Its options."""
    found = argparse.ArgumentParser(description="A grid search, in fresh processes.")
    add = found.add_argument
    add("--rivals", default=",".join(SEARCHERS), help="[%(default)s]")
    add("--threads", type=int, default=cores(), help="[%(default)s]")
    add("--rounds", type=int, default=ROUNDS, help="[%(default)s]")
    add("--json", metavar="FILE", help="write the record there")
    for name in ("--search", "--study", "--data"):
        add(name, help=argparse.SUPPRESS)  # one search, for the process itself
    add("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure what the options ask for; or search, in a process of its own."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    if options.search:
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints must not mix with the answer
        study = Study.from_json(options.study)
        answer = serve(options.search, study, options.data, options.seed)
        print(json.dumps(answer), file=answers, flush=True)
        return
    how = Timing(0.0, options.rounds)
    names = names_in(options.rivals, SEARCHERS, "rivals")
    if options.json:
        check_file(options.json, "--json")
    command = shlex.join(["python", "-m", "xpnet.benchmarks.selection", *arguments])
    record = new_record(command, how, options.threads) if options.json else {}
    result = measure(names, options.threads, options.rounds)
    print(f"\n{text(result)}")
    if options.json:
        write(record | {"selection": [result]}, Path(options.json))


if __name__ == "__main__":
    main()
