"""`xpnet bench`: xpnet beside what else is installed, measured the same way."""

import shlex
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpnet.benchmarks import accuracy, breakdown, cold, sweep
from xpnet.benchmarks.cases import NETS, RATES, cases
from xpnet.benchmarks.options import cores, names_in, numbers_in
from xpnet.benchmarks.page import page
from xpnet.benchmarks.race import print_result, race
from xpnet.benchmarks.record import Record, new_record, read, write
from xpnet.benchmarks.rivals import RIVALS, TRAINERS
from xpnet.benchmarks.tables import (
    breakdown_table,
    race_table,
    sweep_tables,
    training_table,
)
from xpnet.benchmarks.timing import Timing
from xpnet.common import check_file
from xpnet.data.files import existing_file

PARTS = ("race", "breakdown", "sweep", "cold", "accuracy")
QUICK = Timing(2.5, 5, 0.1)
FULL = Timing(3.0, 9, 0.3)
QUICK_NETS = (0, 2, 3)  # of the five; a round of the largest alone takes seconds
SLOW_TO_START = "torch_compiled"  # compiles for many seconds a net
NEEDED = ("xpnet", "products", "numpy")  # ratios, the floor, the check of losses
MEASURING = (
    "full",
    "parts",
    "nets",
    "rivals",
    "optimizers",
    "threads",
    "warm_up",
    "rounds",
    "seconds",
)


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    parts: tuple[str, ...]
    nets: tuple[int, ...]
    rivals: tuple[str, ...]
    optimizers: tuple[str, ...]
    threads: tuple[int, ...]
    how: Timing

    @property
    def estimate(self) -> float:
        """Seconds that warming up and timing take, if every rival is installed."""
        count = len(self.nets) * len(self.optimizers) * len(self.threads)
        total = (
            self.how.estimate(len(self.rivals), count) if "race" in self.parts else 0
        )
        if "sweep" in self.parts:
            points = len(sweep.WIDTHS) + len(sweep.BATCHES)
            total += sweep.SHORT.estimate(len(sweep.SWEPT), points)
        return total


def run(options: Namespace) -> int:
    """Measure, or show what was measured; see `xpnet bench --help`."""
    for flag in ("json", "html"):
        if getattr(options, flag):
            check_file(getattr(options, flag), f"--{flag}")
    if options.source:
        existing_file(options.source)
        return _from(options)
    plan = _plan(options)
    record = _measured(plan, _command(options))
    if options.json:
        write(record, Path(options.json))
    _write_page(record, options)
    return 0


def _from(options: Namespace) -> int:
    """The page, or the tables, of an existing record."""
    unset = (None, False)
    given = [n for n in (*MEASURING, "json") if getattr(options, n) not in unset]
    if given:
        flag = given[0].replace("_", "-")
        raise ValueError(f"--{flag}: --from measures nothing; leave one of them out")
    record = read(options.source)
    try:
        if options.html:
            _write_page(record, options)
        else:
            _print(record)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{options.source}: expected a whole record of `xpnet bench`, got one that "
            f"lacks something ({type(error).__name__}: {error})"
        ) from None
    return 0


def _plan(options: Namespace) -> Plan:
    """The options with their defaults, all checked."""
    default, nets = (FULL, tuple(range(len(NETS)))) if options.full else (QUICK, None)
    rivals = tuple(n for n in RIVALS if options.full or n != SLOW_TO_START)
    rules = tuple(RATES) if options.full else ("adam",)
    if options.rivals is not None:
        chosen = (*NEEDED, *names_in(options.rivals, RIVALS, "rivals"))
        rivals = tuple(n for n in RIVALS if n in chosen)
    if options.optimizers is not None:
        rules = names_in(options.optimizers, RATES, "optimizers")
    if options.nets is not None:
        nets = numbers_in(options.nets, "nets", 0, len(NETS) - 1)
    parts: tuple[str, ...] = PARTS if options.full else PARTS[:1]
    if options.parts is not None:
        parts = names_in(options.parts, PARTS, "parts")
    threads: tuple[int, ...] = (cores(),)
    if options.threads is not None:
        threads = numbers_in(options.threads, "threads", 1, None)
    numbers = [
        getattr(default, n) if getattr(options, n) is None else getattr(options, n)
        for n in ("warm_up", "rounds", "seconds")
    ]
    return Plan(parts, nets or QUICK_NETS, rivals, rules, threads, Timing(*numbers))


def _measured(plan: Plan, command: str) -> Record:
    """Every part of the plan; tables are printed as they come."""
    threads = max(plan.threads)
    record = new_record(command, plan.how, threads)
    print(f"timing and warming up take at least {plan.estimate:.0f} s", flush=True)
    if "race" in plan.parts:
        chosen, names = cases(plan.optimizers, plan.nets), list(plan.rivals)
        for n in plan.threads:
            record["results"] += race(names, chosen, n, plan.how, print_result)
    if "breakdown" in plan.parts:
        chosen = cases(plan.optimizers, plan.nets)
        record["breakdown"] = breakdown.measure(chosen, threads, breakdown.show)
    if "sweep" in plan.parts:
        names = [n for n in sweep.SWEPT if n in plan.rivals]
        how, rule = sweep.SHORT, plan.optimizers[-1]
        record["sweep"] = sweep.sweep(tuple(names), rule, threads, how, print_result)
    trainers = tuple(n for n in TRAINERS if n in plan.rivals)
    measures: dict[str, tuple[Callable[..., Any], int]] = {
        "cold": (cold.measure, cold.ROUNDS),
        "accuracy": (accuracy.measure, accuracy.ROUNDS),
    }
    for part, (measure, rounds) in measures.items():
        if part in plan.parts:
            record[part] = measure(trainers, threads, rounds)
            for result in record[part]:
                print(f"\n{training_table(result).text()}", flush=True)
    return record


def _print(record: Record) -> None:
    tables = [race_table(result) for result in record["results"]]
    tables += [breakdown_table(result) for result in record["breakdown"]]
    tables += sweep_tables(record["sweep"])
    tables += [training_table(r) for r in (*record["cold"], *record["accuracy"])]
    print("\n\n".join(table.text() for table in tables))


def _write_page(record: Record, options: Namespace) -> None:
    if options.html:
        Path(options.html).write_text(page(record), encoding="utf-8")


def _command(options: Namespace) -> str:
    """The command line, without the places that its results went to."""
    words = ["xpnet", "bench"]
    for name in MEASURING:
        value = getattr(options, name)
        if value is not None and value is not False:
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return shlex.join(words)
