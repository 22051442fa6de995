"""Seconds of `fit`, and test scores, of MLP estimators with default settings.

    python -m xpnet.benchmarks.estimators     # --help for the options

Each fit is a fresh process; the clock runs around `fit` alone: imports do not count,
compilers do. The cache holds what earlier fits have compiled. Rivals take turns; the
seed of a round draws the split, the weights and the order. The training part
standardises the inputs, and the targets of diabetes. All train for the same number of
epochs: the stopping rule is off.
"""

import importlib
import statistics
import time
from typing import Any

from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.options import Command, names_in
from xpnet.benchmarks.process import run_once
from xpnet.benchmarks.tables import (
    Row,
    Table,
    add_summaries,
    inverse,
    take_turns,
    threads_of,
)

# name: (label, module, arguments besides the defaults)
ESTIMATORS: dict[str, tuple[str, str, Answer]] = {
    "xpnet": ("xpnet", "xpnet.sklearn", {}),
    "xpnet32": ("xpnet, float32", "xpnet.sklearn", {"dtype": "float32"}),
    "sklearn": ("scikit-learn", "sklearn.neural_network", {}),
}
SETS = ("digits", "breast_cancer", "wine", "diabetes")
EPOCHS, ROUNDS = 200, 10
COLUMNS = ("", "seconds", "IQR", "this / xpnet", "score", "spread")


def measure(
    names: tuple[str, ...],
    sets: tuple[str, ...],
    threads: int,
    rounds: int,
    epochs: int = EPOCHS,
) -> list[Answer]:
    """For each set {"what", "set", "threads", "epochs", "rivals": {name: row}}."""
    kept = {"seconds": "rounds_s", "score": "scores"}
    results = []
    for data in sets:

        def ask(name: str, seed: int, data: str = data) -> Answer:
            return fit(name, data, seed, threads, epochs)

        rows = take_turns(names, rounds, ask, kept)
        add_summaries(rows, "s")
        what = f"fit on {data}, {epochs} epochs, {rounds} seeds"
        head = {"what": what, "set": data, "threads": threads, "epochs": epochs}
        results.append({**head, "rivals": rows})
    return results


def fit(name: str, data: str, seed: int, threads: int, epochs: int) -> Answer:
    """One fit in its own process."""
    return run_once(threads, "estimators", name, data, str(seed), str(epochs))


def serve(name: str, data: str, seed: str, epochs: str) -> Served:
    """One fit in this process; the answer is the greeting."""
    _, module, own = ESTIMATORS[name]
    library = importlib.import_module(module)
    parts = split(data, int(seed))
    kind = "MLPRegressor" if data == "diabetes" else "MLPClassifier"
    estimator = getattr(library, kind)(
        random_state=int(seed),
        max_iter=int(epochs),
        tol=0.0,
        n_iter_no_change=int(epochs) + 1,
        **own,
    )
    began = time.perf_counter()
    estimator.fit(parts["x"], parts["y"])
    seconds = time.perf_counter() - began
    score = float(estimator.score(parts["xt"], parts["yt"]))
    if estimator.n_iter_ != int(epochs):
        return {"failed": f"{estimator.n_iter_} epochs instead of {epochs}"}, None
    version = importlib.import_module(module.partition(".")[0]).__version__
    return {"seconds": seconds, "score": score, "version": str(version)}, None


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


def table(result: Answer) -> Table:
    """A row per estimator; "worse": below scikit-learn's score by more than its spread.

    The spread is the standard deviation over the rounds.
    """
    first = result["rivals"].get("sklearn", {}).get("scores")
    rows = []
    for name, row in result["rivals"].items():
        label = ESTIMATORS[name][0] if name in ESTIMATORS else name
        if "note" in row:
            rows.append(Row(name, label, (), row["note"]))
            continue
        mean, spread = statistics.mean(row["scores"]), statistics.pstdev(row["scores"])
        worse = first and mean < statistics.mean(first) - statistics.pstdev(first)
        times = (f"{row['s']:.3f}", f"{row['iqr_s']:.3f}", inverse(row))
        cells = (*times, f"{mean:.4f}", f"{spread:.4f}")
        rows.append(Row(name, label, cells, "worse" if worse else ""))
    return Table(f"{result['what']}, {threads_of(result)}", COLUMNS, tuple(rows))


def main(arguments: list[str] | None = None) -> None:
    """Measure what the options ask for."""
    command = Command("estimators", ESTIMATORS, ROUNDS)
    command.add("--sets", default=",".join(SETS), help="[%(default)s]")
    command.add("--epochs", type=int, default=EPOCHS, help="[%(default)s]")

    def chosen(names: tuple[str, ...], options: Any) -> list[Answer]:
        sets = names_in(options.sets, SETS, "sets")
        return measure(names, sets, options.threads, options.rounds, options.epochs)

    command.run(arguments, chosen, lambda result: table(result).text())


if __name__ == "__main__":
    main()
