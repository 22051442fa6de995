"""A search with a file: it is killed, its file is damaged, a second search starts."""

import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from xpnet.benchmarks.trials.trial import flipped, running, trial
from xpnet.layers import Dense, Sequential
from xpnet.optim import Adam
from xpnet.selection import grid_search
from xpnet.selection.results import Results
from xpnet.selection.store import Store
from xpnet.training.trainer import Trainer

Space = Mapping[str, Sequence[Any]]
SPACE: Space = {"learning_rate": [1e-3, 3e-3, 1e-2], "hidden": [5, 8]}
FEW: Space = {"learning_rate": [1e-3], "hidden": [5]}
SEARCHER = """
import sys
from pathlib import Path
from xpnet.benchmarks.trials.searches import search
from xpnet.selection import store
store.WORK = 1.0  # the networks of a stack are saved after every epoch
print("ready", flush=True)
search(Path(sys.argv[1]))
"""


def make(learning_rate: float, hidden: int, seed: int = 0) -> Trainer:
    """A small classifier."""
    model = Sequential([Dense(hidden, "tanh"), Dense(3)])
    return Trainer(
        model, "softmax_cross_entropy", Adam(learning_rate), "cpu", seed=seed
    )


def search(file: Path | None, space: Space = SPACE) -> Results:
    """Search with 18 networks in six stacks; each network is a line of the file."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = rng.integers(0, 3, 60)
    options: dict[str, Any] = {"folds": 3, "epochs": 4, "batch_size": 8, "at_once": 3}
    return grid_search(make, x, y, space, file=file, verbose=False, **options)


def scores(results: Results) -> list[Any]:
    """The scores of every setting on every fold."""
    return [trial.scores for trial in results.trials]


@trial("searches", 200, 1, "other scores", "lines lost", "left behind")
def kill_searches(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A search is killed at a random moment, then run again to its end."""
    random, wanted = Random(seed), scores(search(None))
    for number in range(tries):
        file = folder / f"search-{number}.jsonl"
        with running(SEARCHER, str(file)) as process:
            # Between the time before its first line and the time after its last one.
            lines, wait = random.randint(0, 19), random.uniform(0.0, 0.005)
            while process.poll() is None and len(_whole(file)) < lines:
                time.sleep(0.0002)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        before = _whole(file)
        if scores(search(file)) != wanted:
            yield "other scores"
        if not set(before) <= set(_whole(file)) or len(_whole(file)) != 19:
            yield "lines lost"
        if list(folder.iterdir()) != [file]:
            yield "left behind"
        file.unlink(missing_ok=True)


def _whole(file: Path) -> list[bytes]:
    """The complete lines of a file."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


@trial("search bits", 15_000, 30, "wrong scores", "crashes", "other lines lost")
def flip_bits(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A bit of a search's file flips: every bit in turn, in a random order."""
    file = folder / "search.jsonl"
    search(file, FEW)
    content = file.read_bytes()
    mark = content.split(b'"search": "')[1][:64].decode()
    with Store.open(file, mark) as store:
        wanted = dict(store.rows)
    order = Random(seed).sample(range(8 * len(content)), 8 * len(content))
    for number in range(tries):
        file.write_bytes(flipped(content, order[number % len(order)]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Store.open(file, mark) as store:
                    found = dict(store.rows)
        except Exception:
            yield "crashes"
            continue
        if any(wanted.get(key) != row for key, row in found.items()):
            yield "wrong scores"
        if len(found) < len(wanted) - 2:  # a lost line end takes two lines with it
            yield "other lines lost"


@trial("search twice", 20, 1, "damaged", "unclear errors")
def search_twice(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Two processes search with one file at once, then a third one."""
    wanted = scores(search(None))
    for number in range(tries):
        file = folder / f"search-{number}.jsonl"
        command = [sys.executable, "-c", SEARCHER, str(file)]
        pipe: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        for process in [subprocess.Popen(command, **pipe) for _ in range(2)]:
            error = process.communicate()[1]
            if process.returncode and "in use by another search" not in error:
                yield "unclear errors"
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = scores(search(file))
        if found != wanted or told:
            yield "damaged"
        file.unlink()
