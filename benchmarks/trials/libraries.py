"""Compiled code in the cache: changed files, killed compilers, forks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

from xpnet.benchmarks.trials.trial import flipped, killed, last_line, running, trial
from xpnet.common import cache
from xpnet.compiler.c import build

FIT = """
import multiprocessing, sys, threading, time, warnings
import numpy as np, xpnet as xn
from xpnet.compiler.c import build
x, y = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3), np.arange(20) % 2
def fit(jit, epochs):
    model = xn.Sequential([xn.Dense(8, "tanh"), xn.Dense(2)])
    t = xn.Trainer(model, "softmax_cross_entropy", "adam", device="cpu", jit=jit)
    t.fit(x, y, epochs, 5)
    return t
"""
# A training in C whose result is known: prints "begun", waits for a line, trains.
TRAINING = (
    FIT
    + """
t = fit(True, 3)
print("begun", flush=True)
sys.stdin.readline()
t.fit(x, y, 200, 5)
plain = fit(False, 3)
plain.fit(x, y, 200, 5)
assert t.last_step.program.native is not None
print("equal" if np.array_equal(t.predict(x), plain.predict(x)) else "other")
"""
)

COMPILING = """
import sys
from xpnet.compiler.c import build
print("begun", flush=True)
build.Build(sys.argv[1]).library()
"""

# Trainings in children of a process whose compiler is running, or whose thread waits
# for the compiler.
FORKING = (
    FIT
    + """
warnings.simplefilter("error")
warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
from xpnet.compiler import tuning
tuning.COMPILE_AFTER_S = 0.0
def predicted(jit):
    return fit(jit, 20).predict(x)
def child(jit):
    found = predicted(jit)
    assert not build._REFUSED, build._REFUSED
    return found
if __name__ == "__main__":
    found, threads = [], []
    if sys.argv[1] == "began":
        found.append(predicted(None))
    else:
        threads.append(threading.Thread(target=lambda: found.append(predicted(True))))
        threads[0].start()
        while not any(one._compiling for one in build._BUILDS.values()):
            time.sleep(0.001)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found += pool.map(child, [True, None])
    for thread in threads:
        thread.join()
    found += [predicted(True), predicted(False)]
    assert not build._REFUSED, build._REFUSED
    print("equal" if all(np.array_equal(one, found[-1]) for one in found) else "other")
"""
)


@contextmanager
def own_cache(folder: Path) -> Iterator[Path]:
    """Make `folder` the cache of this process and of those it starts."""
    try:
        with patch.dict(os.environ, XPNET_CACHE_DIR=str(folder)):
            cache.cache_directory.cache_clear()
            yield cache.cache_directory()
    finally:
        cache.cache_directory.cache_clear()


def change(data: bytes, random: Random, which: int) -> bytes:
    """One bit of `data` flipped; every 20th time `data` is cut off instead.

    The first and the last 2,000 bits are flipped one after the other, then random ones.
    """
    if which % 20 == 19:
        return data[: random.randrange(len(data))]
    bits, few = 8 * len(data), 2000
    ends = [*range(min(few, bits)), *range(max(bits - few, 0), bits)]
    return flipped(data, ends[which] if which < len(ends) else random.randrange(bits))


@trial("bits", 20_000, 20, "silent", "crash", "other")
def change_files(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Files in the cache are changed and read again; every 400th time a process trains.

    The first try is one of those.
    """
    random = Random(seed)
    with own_cache(folder / "cache") as place:
        last_line(TRAINING)
        whole = {p.name: p.read_bytes() for p in sorted(place.iterdir())}
        names = [name for name in whole if name.endswith(".so")] or [*whole]
        for which in range(tries):
            others = which % 4 == 3  # a program, not a library
            name = random.choice([*whole] if others else names)
            (place / name).write_bytes(change(whole[name], random, which))
            if which % 400 == 0:
                yield from _unequal(last_line(TRAINING))
            content = cache.kept(name)
            if content is not None and not whole[name].startswith(content):
                yield "silent"
            (place / name).write_bytes(whole[name])
            (place / name).chmod(0o600)


def _unequal(end: str) -> Iterator[str]:
    """How a training ended, if not with the right answer."""
    if end != "equal":
        yield end


@trial("cuts", 40, 1, "crash", "other")
def cut_while_loaded(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Libraries and programs are cut off while processes run them."""
    random = Random(seed)
    with own_cache(folder / "cache") as place:
        for _ in range(tries):
            with running(TRAINING, jit=True) as process:
                for path in place.glob("*.*"):
                    os.truncate(path, random.randrange(path.stat().st_size))
                said, _ = process.communicate("\n")
                yield from _unequal("crash" if process.returncode else said.strip())


@trial("compilers", 200, 1, "lost", "left behind")
def kill_compilers(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """A process is killed while it compiles; the next one compiles and tidies up."""
    random = Random(seed)
    with own_cache(folder / "cache") as place:
        for which in range(tries):
            text = f"int numbers[{1 + which}]; {WORK}"
            killed(random, 0.4, COMPILING, text)
            cache._SWEPT.clear()  # as in a new process
            try:
                build.Build(text).library()
            except build.BuildError:
                yield "lost"
            parts = (*place.glob("part-*"), *place.glob(".*.part"))
            yield from ("left behind" for _ in parts)


WORK = "\n".join(
    f"void work{i}(float *x, int n) {{ for (int j = 0; j < n; j++) x[j] += {i}; }}"
    for i in range(40)
)


@trial("forks", 40, 2, "hangs", "crash", "other")
def fork(tries: int, folder: Path, seed: int) -> Iterator[str]:
    """Processes fork while they compile, and train; in turns of two kinds."""
    for which in range(tries):
        with own_cache(folder / f"cache{which}"):
            kind = ("began", "waits")[(which + seed) % 2]
            yield from _unequal(last_line(FORKING, kind))
