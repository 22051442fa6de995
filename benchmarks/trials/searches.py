"""A search with a file is killed, its file is damaged, a second search comes."""

import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from xpnet.benchmarks.trials.trial import Trial
from xpnet.benchmarks.trials.writes import running
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
from xpnet.selection import midway
midway.WORK = 1.0  # the networks of a stack are saved after every epoch
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
    """18 networks in six stacks, a line of the file each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = rng.integers(0, 3, 60)
    options: dict[str, Any] = {"folds": 3, "epochs": 4, "batch_size": 8, "at_once": 3}
    return grid_search(make, x, y, space, file=file, verbose=False, **options)


def scores(results: Results) -> list[Any]:
    """Of every setting on every part."""
    return [trial.scores for trial in results.trials]


def kill_searches(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """SIGKILL amid a search at a random moment, then the same search to its end."""
    random, wanted = Random(seed), scores(search(None))
    mixed = lost = left = 0
    for number in range(tries):
        file = folder / f"search-{number}.jsonl"
        with running(SEARCHER, str(file)) as process:
            # From before its first line to after its last one.
            lines, wait = random.randint(0, 19), random.uniform(0.0, 0.005)
            while process.poll() is None and _lines(file) < lines:
                time.sleep(0.0002)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        before = _whole(file)
        mixed += scores(search(file)) != wanted
        lost += not set(before) <= set(_whole(file)) or _lines(file) != 19
        left += list(folder.iterdir()) != [file]
        file.unlink(missing_ok=True)
    return {"other scores": mixed, "lines lost": lost, "left behind": left}


def _whole(file: Path) -> list[bytes]:
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


def _lines(file: Path) -> int:
    return len(_whole(file))


def flip_bits(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """One bit of the file is another one: every bit in turn, in a random order."""
    file = folder / "search.jsonl"
    search(file, FEW)
    content = file.read_bytes()
    mark = content.split(b'"search": "')[1][:64].decode()
    with Store.open(file, mark) as store:
        wanted = dict(store.rows)
    order = Random(seed).sample(range(8 * len(content)), 8 * len(content))
    wrong = crashes = lost = 0
    for number in range(tries):
        bit = order[number % len(order)]
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Store.open(file, mark) as store:
                    wrong += any(wanted.get(k) != row for k, row in store.rows.items())
                    # A line's end that has gone takes two lines with it.
                    lost += len(store.rows) < len(wanted) - 2
        except Exception:
            crashes += 1
    return {"wrong scores": wrong, "crashes": crashes, "other lines lost": lost}


def search_twice(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Two processes search with one file at once, then a third one."""
    del seed
    wanted, damaged, unclear = scores(search(None)), 0, 0
    for number in range(tries):
        file = folder / f"search-{number}.jsonl"
        command = [sys.executable, "-c", SEARCHER, str(file)]
        pipe: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        both = [subprocess.Popen(command, **pipe) for _ in range(2)]
        for process in both:
            error = process.communicate()[1]
            if process.returncode:
                unclear += "in use by another search" not in error
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            damaged += scores(search(file)) != wanted or bool(told)
        file.unlink()
    return {"damaged": damaged, "unclear errors": unclear}


SEARCHES = [
    Trial("searches", "a search is killed and run again", kill_searches, 200, 1),
    Trial("search bits", "a bit of a search's file flips", flip_bits, 15_000, 30),
    Trial("search twice", "two searches have one file", search_twice, 20, 1),
]
