"""Compiled code in the cache: changed files, killed compilers, forks, two at a time."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from xpnet.benchmarks.trials.trial import Trial
from xpnet.benchmarks.trials.writes import running
from xpnet.common import cache
from xpnet.compiler.c import build

# A training in C whose result is known: prints "begun", waits for a line, trains.
TRAINING = """
import sys, numpy as np, xpnet as xn
x = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3)
def fit(jit):
    model = xn.Sequential([xn.Dense(8, "tanh"), xn.Dense(2)])
    t = xn.Trainer(model, "softmax_cross_entropy", "adam", device="cpu", jit=jit)
    t.fit(x, np.arange(20) % 2, 3, 5)
    return t
t = fit(True)
print("begun", flush=True)
sys.stdin.readline()
t.fit(x, np.arange(20) % 2, 200, 5)
plain = fit(False)
plain.fit(x, np.arange(20) % 2, 200, 5)
assert t.newest.program.native is not None
print("equal" if np.array_equal(t.predict(x), plain.predict(x)) else "other")
"""

COMPILING = """
import sys
from xpnet.compiler.c import build
print("begun", flush=True)
build.Build(sys.argv[1]).library()
"""

# Trainings in children of a process whose compiler is at work, and in one whose thread
# waits for it.
FORKING = """
import multiprocessing, sys, threading, time, warnings
import numpy as np, xpnet as xn
from xpnet.compiler.c import build
warnings.simplefilter("error")
warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
build.WORTH = 0.0
x = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3)
def fit(jit):
    model = xn.Sequential([xn.Dense(8, "tanh"), xn.Dense(2)])
    t = xn.Trainer(model, "softmax_cross_entropy", "adam", device="cpu", jit=jit)
    t.fit(x, np.arange(20) % 2, 20, 5)
    return t.predict(x)
def child(jit):
    found = fit(jit)
    assert not build._REFUSED, build._REFUSED
    return found
if __name__ == "__main__":
    found, threads = [], []
    if sys.argv[1] == "began":
        found.append(fit(None))
    else:
        threads.append(threading.Thread(target=lambda: found.append(fit(True))))
        threads[0].start()
        while not any(one._compiling for one in build._BUILDS.values()):
            time.sleep(0.001)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found += pool.map(child, [True, None])
    for thread in threads:
        thread.join()
    found += [fit(True), fit(False)]
    assert not build._REFUSED, build._REFUSED
    print("equal" if all(np.array_equal(one, found[-1]) for one in found) else "other")
"""


@contextmanager
def own_cache(folder: Path) -> Iterator[Path]:
    """`folder` is the cache of this process and of those it starts."""
    before = os.environ.get("XPNET_CACHE_DIR")
    os.environ["XPNET_CACHE_DIR"] = str(folder)
    cache.cache_directory.cache_clear()
    try:
        yield cache.cache_directory()
    finally:
        if before is None:
            del os.environ["XPNET_CACHE_DIR"]
        else:
            os.environ["XPNET_CACHE_DIR"] = before
        cache.cache_directory.cache_clear()


def python(code: str, *arguments: str, patience: float = 120.0) -> str:
    """The last line that a fresh process prints, or how it ended."""
    environment = {**os.environ, "XPNET_JIT": "1"}
    try:
        run = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            input="\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if run.returncode < 0:
        return "crash"
    if run.returncode:
        return (run.stderr.strip().splitlines() or ["error"])[-1]
    return run.stdout.strip().splitlines()[-1]


def counted(faults: tuple[str, ...], seen: Counter[str]) -> dict[str, int]:
    """{fault: how often}: those named, and whatever else is not "equal"."""
    found = dict.fromkeys(faults, 0)
    return found | {what: n for what, n in seen.items() if what != "equal"}


def change(data: bytes, random: Random, which: int) -> bytes:
    """One bit of `data` turned, or, now and then, some of it cut off.

    The first and the last 2,000 bits are turned one after the other, then random ones.
    """
    if which % 20 == 19:
        return data[: random.randrange(len(data))]
    bits, few = 8 * len(data), 2000
    ends = [*range(min(few, bits)), *range(max(bits - few, 0), bits)]
    at = ends[which] if which < len(ends) else random.randrange(bits)
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def turn_bits(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Files of a training changed, read again; now and then by a process that trains.

    The first try is one of these, and every 400th.
    """
    random, seen = Random(seed), Counter[str]()
    with own_cache(folder / "cache") as place:
        python(TRAINING)
        whole = {p.name: p.read_bytes() for p in sorted(place.iterdir())}
        names = [name for name in whole if name.endswith(".so")] or [*whole]
        for which in range(tries):
            others = which % 4 == 3  # a program, not a library
            name = random.choice([*whole] if others else names)
            (place / name).write_bytes(change(whole[name], random, which))
            if which % 400 == 0:
                seen[python(TRAINING)] += 1
            content = cache.kept(name)
            if content is not None and not whole[name].startswith(content):
                seen["silent"] += 1
            (place / name).write_bytes(whole[name])
            (place / name).chmod(0o600)
    return counted(("silent", "crash", "other"), seen)


def cut_while_loaded(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Libraries and programs cut off and overwritten in processes that run them."""
    random, seen = Random(seed), Counter[str]()
    with own_cache(folder / "cache") as place:
        for _ in range(tries):
            with subprocess.Popen(
                [sys.executable, "-c", TRAINING],
                env={**os.environ, "XPNET_JIT": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdout.readline()
                for path in place.glob("*.*"):
                    os.truncate(path, random.randrange(path.stat().st_size))
                said, _ = process.communicate("\n")
                seen["crash" if process.returncode else said.strip()] += 1
    return counted(("crash", "other"), seen)


def kill_compilers(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """SIGKILL amid compiling; the next process compiles, and removes what is left."""
    random, seen = Random(seed), Counter[str]()
    with own_cache(folder / "cache") as place:
        for which in range(tries):
            text = f"int numbers[{1 + which}]; {WORK}"
            with running(COMPILING, text) as process:
                time.sleep(random.uniform(0.0, 0.4))
                process.send_signal(signal.SIGKILL)
            cache._SWEPT.clear()  # as in a new process
            try:
                build.Build(text).library()
            except build.BuildError:
                seen["lost"] += 1
            seen["left behind"] += sum(1 for _ in place.glob("part-*"))
            seen["left behind"] += sum(1 for _ in place.glob(".*.part"))
    return counted(("lost", "left behind"), seen)


WORK = "\n".join(
    f"void work{i}(float *x, int n) {{ for (int j = 0; j < n; j++) x[j] += {i}; }}"
    for i in range(40)
)


def fork(tries: int, folder: Path, seed: int) -> dict[str, int]:
    """Trainings in children of a process that compiles, in turns of two kinds."""
    seen = Counter[str]()
    for which in range(tries):
        with own_cache(folder / f"cache{which}"):
            seen[python(FORKING, ("began", "waits")[(which + seed) % 2])] += 1
    return counted(("hangs", "crash", "other"), seen)


LIBRARIES = [
    Trial("bits", "files in the cache are changed", turn_bits, 20_000, 40),
    Trial("cuts", "a library is cut off while it runs", cut_while_loaded, 40, 1),
    Trial("compilers", "a process is killed while it compiles", kill_compilers, 200, 1),
    Trial("forks", "processes fork while they compile", fork, 40, 2),
]
