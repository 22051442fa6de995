"""A trial, and what several trials need: processes to kill, bits to flip."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Attack = Callable[[int, Path, int], Iterable[str]]
Counts = dict[str, int]


@dataclass(frozen=True)
class Trial:
    """One kind of attack on the library.

    Attributes:
        name: for the command line.
        tries: of a full run.
        quick: tries of the run in the test suite, under two seconds.
        faults: their names.
        attack: (number of tries, an empty folder, seed) -> the faults, as they occur.
    """

    name: str
    tries: int
    quick: int
    faults: tuple[str, ...]
    attack: Attack

    @property
    def what(self) -> str:
        """What is tried, in a sentence."""
        return (self.attack.__doc__ or "").partition("\n")[0]

    def run(self, tries: int, folder: Path, seed: int) -> Counts:
        """How often each fault was seen; every count must be 0."""
        seen = Counter(self.attack(tries, folder, seed))
        return dict.fromkeys(self.faults, 0) | dict(seen)


def trial(name: str, tries: int, quick: int, *faults: str) -> Callable[[Attack], Trial]:
    """Make a trial of a function that yields the names of the faults that it sees."""
    return lambda attack: Trial(name, tries, quick, faults, attack)


@contextmanager
def running(code: str, *arguments: str, jit: bool = False) -> Iterator[Any]:
    """A Python process that has printed its first line; it is killed at the end."""
    command, pipe = [sys.executable, "-c", code, *arguments], subprocess.PIPE
    env = os.environ | ({"XPNET_JIT": "1"} if jit else {})
    process: Any  # its streams are there
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, env=env, text=True
    ) as process:
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def killed(random: Random, most: float, code: str, *arguments: str) -> str:
    """Kill a process at a random moment of `most` seconds; return what it printed."""
    with running(code, *arguments) as process:
        time.sleep(random.uniform(0.0, most))
        process.send_signal(signal.SIGKILL)
        return str(process.stdout.read())


def last_line(code: str, *arguments: str, patience: float = 120.0) -> str:
    """The last line that a Python process prints, or how it ended.

    Its steps are compiled, and its standard input is one empty line.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "XPNET_JIT": "1"},
            input="\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode < 0:
        return "crash"
    text = done.stderr if done.returncode else done.stdout
    return (text.strip().splitlines() or ["error"])[-1]


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed."""
    found = bytearray(data)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)
