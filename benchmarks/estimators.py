"""Seconds of `fit`, and test scores, of MLP estimators with default settings.

    python -m xpnet.benchmarks.estimators     # --help for the rest

Each fit is a fresh process; the clock runs around `fit` alone (imports are not counted,
compilers are; what an earlier fit has left in xpnet's cache, libraries and programs, is
there). Rivals take turns, a seed a round, which draws the split, the weights and the
order. Inputs are standardised by the training part, and so are the targets of diabetes.
All train for the same number of epochs: the stopping rule is switched off.
"""

import argparse
import importlib
import json
import os
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from xpnet.benchmarks.fresh import ask, finish, note
from xpnet.benchmarks.options import cores, names_in
from xpnet.benchmarks.record import new_record, write
from xpnet.benchmarks.timing import Timing
from xpnet.common import check_file

Answer = dict[str, Any]
# name: (label, module, arguments besides the defaults)
ESTIMATORS: dict[str, tuple[str, str, Answer]] = {
    "xpnet": ("xpnet", "xpnet.sklearn", {}),
    "xpnet32": ("xpnet, float32", "xpnet.sklearn", {"dtype": "float32"}),
    "sklearn": ("scikit-learn", "sklearn.neural_network", {}),
}
SETS = ("digits", "breast_cancer", "wine", "diabetes")
EPOCHS, ROUNDS = 200, 10


def measure(
    names: tuple[str, ...],
    sets: tuple[str, ...],
    threads: int,
    rounds: int,
    epochs: int = EPOCHS,
) -> list[Answer]:
    """For each set {"what", "set", "threads", "epochs", "rivals": {name: row}}."""
    results = []
    for data in sets:
        rows: dict[str, Answer] = {name: {"rounds_s": []} for name in names}
        for seed in range(rounds):
            for name, row in rows.items():
                if "note" not in row:
                    _one(row, fit(name, data, seed, threads, epochs))
        finish(rows)
        what = f"fit on {data}, {epochs} epochs, {rounds} seeds"
        head = {"what": what, "set": data, "threads": threads, "epochs": epochs}
        results.append({**head, "rivals": rows})
    return results


def _one(row: Answer, answer: Answer) -> None:
    if not note(row, answer):
        row["rounds_s"].append(answer["seconds"])
        row.setdefault("scores", []).append(answer["score"])
        row["version"] = answer["version"]


def fit(name: str, data: str, seed: int, threads: int, epochs: int) -> Answer:
    """What a process of its own says of one fit."""
    place = ("--seed", str(seed), "--epochs", str(epochs))
    return ask(threads, "estimators", "--fit", name, "--sets", data, *place)


def serve(name: str, data: str, seed: int, epochs: int) -> Answer:
    """One fit in this process."""
    _, module, own = ESTIMATORS[name]
    try:
        library = importlib.import_module(module)
        parts = split(data, seed)
        kind = "MLPRegressor" if data == "diabetes" else "MLPClassifier"
        estimator = getattr(library, kind)(
            random_state=seed,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=epochs + 1,
            **own,
        )
        began = time.perf_counter()
        estimator.fit(parts["x"], parts["y"])
        seconds = time.perf_counter() - began
        score = float(estimator.score(parts["xt"], parts["yt"]))
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    if estimator.n_iter_ != epochs:
        return {"failed": f"{estimator.n_iter_} epochs instead of {epochs}"}
    version = importlib.import_module(module.partition(".")[0]).__version__
    return {"seconds": seconds, "score": score, "version": str(version)}


def split(data: str, seed: int) -> Answer:
    """{"x", "y", "xt", "yt"}: three quarters to train on, one to test on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{data}")(return_X_y=True)
    labels = None if data == "diabetes" else y
    x, xt, y, yt = train_test_split(x, y, random_state=seed, stratify=labels)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0.0] = 1.0
    if labels is None:
        y, yt = (y - y.mean()) / y.std(), (yt - y.mean()) / y.std()
    return {"x": (x - mean) / scale, "y": y, "xt": (xt - mean) / scale, "yt": yt}


def text(result: Answer) -> str:
    """The table; it says who scores less than scikit-learn by more than its spread."""
    head = (
        f"{'':18}{'seconds':>9}{'IQR':>8}{'this / xpnet':>14}{'score':>9}{'spread':>9}"
    )
    lines = [f"{result['what']}, {result['threads']} threads", head]
    first = result["rivals"].get("sklearn", {}).get("scores")
    for name, row in result["rivals"].items():
        label = f"{ESTIMATORS[name][0]:18}"
        if "note" in row:
            lines.append(f"{label}  {row['note']}")
            continue
        ratio = row.get("xpnet_over_this")
        times = f"{1.0 / ratio:.1f}" if ratio else ""
        mean, spread = statistics.mean(row["scores"]), statistics.pstdev(row["scores"])
        worse = first and mean < statistics.mean(first) - statistics.pstdev(first)
        lines.append(
            f"{label}{row['s']:>9.3f}{row['iqr_s']:>8.3f}{times:>14}{mean:>9.4f}"
            f"{spread:>9.4f}{'  worse' if worse else ''}"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Its options."""
    found = argparse.ArgumentParser(description="fit of estimators, fresh processes.")
    add = found.add_argument
    add("--rivals", default=",".join(ESTIMATORS), help="[%(default)s]")
    add("--sets", default=",".join(SETS), help="[%(default)s]")
    add("--threads", type=int, default=cores(), help="[%(default)s]")
    add("--rounds", type=int, default=ROUNDS, help="seeds [%(default)s]")
    add("--epochs", type=int, default=EPOCHS, help="[%(default)s]")
    add("--json", metavar="FILE", help="write the record there")
    add("--fit", help=argparse.SUPPRESS)  # one fit, for the process itself
    add("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure what the options ask for; or fit, in a process of its own."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    if options.fit:
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints must not mix with the answer
        answer = serve(options.fit, options.sets, options.seed, options.epochs)
        print(json.dumps(answer), file=answers, flush=True)
        return
    how = Timing(0.0, options.rounds)
    names = names_in(options.rivals, ESTIMATORS, "rivals")
    sets = names_in(options.sets, SETS, "sets")
    if options.json:
        check_file(options.json, "--json")
    command = shlex.join(["python", "-m", "xpnet.benchmarks.estimators", *arguments])
    record = new_record(command, how, options.threads) if options.json else {}
    results = measure(names, sets, options.threads, options.rounds, options.epochs)
    for result in results:
        print(f"\n{text(result)}")
    if options.json:
        write(record | {"estimators": results}, Path(options.json))


if __name__ == "__main__":
    main()
