"""`xpnet compare A B`: do two ways to run agree, and which is faster from which size?

The comparison and its bound are those of `xpnet.diagnosis.lockstep`. Speeds are medians
of interleaved rounds (A B A B ...), each measured until the device is done; a step is
what `fit` does for a batch: gather, gradients, update. As in a Trainer, a program is
compiled after it has run for some time, or at once with `jit`.
"""

import math
import re
import statistics
import time
from argparse import Namespace
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np

from xpnet.backend import DeviceError, generator, get_backend
from xpnet.backend.crossover import Crossover, remember
from xpnet.commands.comparison_report import (
    Speeds,
    print_comparison,
    print_crossover,
    record_of,
)
from xpnet.commands.network import LOSSES, outputs
from xpnet.commands.preparation import check_counts
from xpnet.commands.report import print_json
from xpnet.common import nearest, printable
from xpnet.data import MinMaxScaler, Standardizer, load_data
from xpnet.data.files import check_memory
from xpnet.diagnosis.execution_modes import (
    ExecutionMode,
    ThreadLimitedBackend,
    limited,
)
from xpnet.diagnosis.lockstep import Lockstep, Problem, Run

MODIFIERS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "float64": {"dtype": "float64"},
    "eager": {"eager": True},
    "jit": {"jit": True},
    "nojit": {"jit": False},
}
DIFFER = 1  # exit status
SPEED_SECONDS = 1.0  # of timing, both sides together
CELL_SECONDS = 0.1  # the same, for a cell of the grid
BLOCK_SECONDS = 0.002  # steps are timed in blocks of this length, far above the clock's
CLASSES = 10  # outputs of the networks on the grid


def run(options: Namespace) -> int:
    """Compare; see `xpnet compare --help`."""
    check_counts(options, "steps", "batch_size")
    check_counts(options, "seed", least=0)
    grid = _grid(options.grid)
    a, b = _way(options.a), _way(options.b)
    problem = _problem(options)
    lockstep = Lockstep(problem, a, b)
    agreement = lockstep.run(options.steps)
    rows = next(problem.batches())
    speeds = race(lockstep.a, lockstep.free, rows, SPEED_SECONDS)
    crossover, file = None, None
    # The speed of a wrong result is of no use and must not be stored.
    if agreement.agrees and not options.no_crossover:
        crossover = measure(grid, a, b, problem.optimizer, quiet=options.json)
        file = _remember(crossover, a, b)
    if options.json:
        record = record_of(options, agreement, speeds, crossover)
        record["remembered"] = file
        print_json(record)
    else:
        print_comparison(problem, (a, b), agreement, speeds)
        if crossover is not None:
            print_crossover(crossover)
        if file is not None:
            print(f'remembered for device="auto" in {file}')
    return 0 if agreement.agrees else DIFFER


def _sizes(text: str, flag: str) -> tuple[int, ...]:
    try:
        sizes = tuple(map(int, text.split(",")))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise ValueError(f"{flag}: expected sizes such as 64,32, got {text!r}")
    return sizes


def _grid(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths and batches from "16,64x8,512"."""
    widths, _, batches = text.partition("x")
    try:
        axes = _sizes(widths, "--grid"), _sizes(batches, "--grid")
    except ValueError:
        axes = (), ()
    if not axes[0] or any(b <= a for axis in axes for a, b in pairwise(axis)):
        raise ValueError(
            "--grid: expected rising widths x rising batches such as 16,64x8,512, got "
            f"{text!r}"
        )
    return axes


# What is compared.


def _way(text: str) -> ExecutionMode:
    """The way that `text` names: "cpu:2,float64", "cuda"."""
    device, *words = [word.strip() for word in text.split(",")]
    match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", device)
    if match is None:
        hint = "cpu, cpu:2 (threads), cuda or cuda:1, then modifiers after commas"
        raise ValueError(f"{text!r}: expected a device, got {device!r}; one of {hint}")
    settings: dict[str, Any] = {}
    for word in words:
        if word not in MODIFIERS:
            raise ValueError(f"{text!r}: unknown {word!r}; {nearest(word, MODIFIERS)}")
        if settings.keys() & MODIFIERS[word].keys():
            raise ValueError(f"{text!r}: {word!r} contradicts or repeats another word")
        settings |= MODIFIERS[word]
    if settings.get("jit") and (device.startswith("cuda") or "eager" in settings):
        raise ValueError(f"{text!r}: jit is for a recorded step on the CPU")
    if match[1] == "cuda":
        return ExecutionMode(text, _cuda(device), **settings)
    backend, threads = get_backend("cpu"), match[2]
    if threads is None:
        return ExecutionMode(text, backend, **settings)
    if int(threads) < 1:
        raise ValueError(f"{text!r}: expected at least one thread, got {threads}")
    return ExecutionMode(text, limited(backend, int(threads)), **settings)


def _cuda(device: str) -> Any:
    try:
        return get_backend(device)
    except DeviceError as error:
        raise DeviceError(
            f"{error}; without a GPU, two ways to run on the CPU can be compared: "
            "xpnet compare cpu:1 cpu:2"
        ) from None


def _problem(options: Namespace) -> Problem:
    """The data, scaled, and the network."""
    text = options.hidden.strip().lower()
    widths = () if text in ("", "none") else _sizes(text, "--hidden")
    data = load_data(options.data, task=options.task)
    y = np.asarray(data.y)
    check_memory(f"{printable(data.name)}: its samples", 3 * 8 * data.x.size)
    return Problem(
        MinMaxScaler.fit(data.x).transform(data.x),
        Standardizer.fit(y).transform(y) if data.task == "regression" else y,
        widths,
        outputs(data),
        LOSSES[str(data.task)],
        options.optimizer,
        min(options.batch_size, len(y)),
        options.seed,
    )


# Speed.


def race(a: Run, b: Run, rows: Any, seconds: float) -> Speeds:
    """Seconds a step of each on samples `rows`, and A's share of B's: medians.

    Args:
        seconds: for all rounds together; there is one round at least.
    """
    blocks = [_block(run, rows) for run in (a, b)]
    rounds: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while not rounds or time.perf_counter() < end:
        first, second = (timed(r, rows, n) for r, n in zip((a, b), blocks, strict=True))
        rounds.append((first, second))
    mine, other = (statistics.median(side) for side in zip(*rounds, strict=True))
    return mine, other, statistics.median(x / y for x, y in rounds)


def _block(run: Run, rows: Any) -> int:
    """How many steps last BLOCK_SECONDS; the first step of all is recorded here."""
    timed(run, rows, 1)
    return max(1, math.ceil(BLOCK_SECONDS / timed(run, rows, 1)))


def timed(run: Run, rows: Any, steps: int) -> float:
    """Seconds a step, over `steps` steps after one that warms up."""
    with run.way.active():
        here = run.backend.asarray(rows)
        run.step(here)
        run.backend.synchronize()
        began = time.perf_counter()
        for _ in range(steps):
            run.step(here)
        run.backend.synchronize()
        return (time.perf_counter() - began) / steps


def measure(
    grid: tuple[tuple[int, ...], tuple[int, ...]],
    a: ExecutionMode,
    b: ExecutionMode,
    optimizer: Any = "adam",
    quiet: bool = False,
) -> Crossover:
    """A's time over B's for networks n-n-10 of each width n, at each batch size."""
    from tqdm import tqdm

    widths, batches = grid
    cells = tqdm(  # None: on a terminal only
        list(product(widths, batches)), "grid", leave=False, disable=quiet or None
    )
    ratios = [_cell(width, batch, a, b, optimizer) for width, batch in cells]
    columns = len(batches)
    table = (ratios[i : i + columns] for i in range(0, len(ratios), columns))
    return Crossover(widths, batches, tuple(map(tuple, table)))


def _cell(
    width: int, batch: int, a: ExecutionMode, b: ExecutionMode, optimizer: Any
) -> float:
    draw = generator(0, width, batch)
    x = draw.standard_normal((batch, width), np.float32)
    y = draw.integers(CLASSES, size=batch)
    problem = Problem(x, y, (width,), CLASSES, optimizer=optimizer, batch_size=batch)
    sides = Run(problem, a), Run(problem, b)
    return race(*sides, np.arange(batch), CELL_SECONDS)[2]


def _remember(crossover: Crossover, a: ExecutionMode, b: ExecutionMode) -> str | None:
    """Store it if it answers the question of `device="auto"`: plain CPU or GPU?"""
    plain = [
        not (
            way.eager
            or way.jit is False
            or isinstance(way.backend, ThreadLimitedBackend)
        )
        for way in (a, b)
    ]
    if not all(plain) or a.dtype != b.dtype:
        return None
    if a.backend.is_host == b.backend.is_host:
        return None
    if b.backend.is_host:
        turned = tuple(tuple(1.0 / r for r in row) for row in crossover.ratios)
        crossover, a, b = replace(crossover, ratios=turned), b, a
    file = remember(crossover, b.backend, b.dtype)
    return None if file is None else str(file)
