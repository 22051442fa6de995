"""`xpnet bench`: xpnet and other installed libraries, measured in the same way."""

import shlex
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from xpnet.benchmarks import trainings
from xpnet.benchmarks.cases import NETS, RATES, cases
from xpnet.benchmarks.options import names_in, numbers_in
from xpnet.benchmarks.page import page
from xpnet.benchmarks.race import (
    BATCHES,
    SHORT,
    SWEPT,
    WIDTHS,
    print_result,
    race,
    sweep,
)
from xpnet.benchmarks.record import Record, Timing, new_record, read, write
from xpnet.benchmarks.report import sections
from xpnet.benchmarks.rivals import RIVALS, TRAINERS
from xpnet.benchmarks.tables import training_table
from xpnet.common import check_file
from xpnet.common.machine import cores
from xpnet.data.files import existing_file
from xpnet.training.plots import need_matplotlib

PARTS = ("race", "sweep", "cold", "accuracy")
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
class BenchPlan:
    """What is measured, and for how long.

    Attributes:
        parts: of PARTS.
        nets: their numbers.
        rivals: of the race, the cold starts and the accuracy.
        swept: the rivals of the sweep.
        optimizers: update rules; the sweep takes the last one.
        threads: numbers of threads; all parts but the race take the largest.
        race, sweep: how long they warm up and time a rival.
        rounds: trainings per rival of "cold" and "accuracy".
    """

    parts: tuple[str, ...]
    nets: tuple[int, ...]
    rivals: tuple[str, ...]
    swept: tuple[str, ...]
    optimizers: tuple[str, ...]
    threads: tuple[int, ...]
    race: Timing
    sweep: Timing
    rounds: dict[str, int]

    @property
    def estimate(self) -> float:
        """Seconds that warming up and timing take, if every rival is installed."""
        total = 0.0
        if "race" in self.parts:
            count = len(self.nets) * len(self.optimizers) * len(self.threads)
            total += self.race.estimate(len(self.rivals), count)
        if "sweep" in self.parts:
            points = len(WIDTHS) + len(BATCHES)
            total += self.sweep.estimate(len(self.swept), points)
        return total


def run(options: Namespace) -> int:
    """Measure, or show a record; see `xpnet bench --help`."""
    for flag in ("json", "html"):
        if getattr(options, flag):
            check_file(getattr(options, flag), f"--{flag}")
    if options.html:
        need_matplotlib()
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


def _plan(options: Namespace) -> BenchPlan:
    """The options with their defaults, all checked."""
    default, nets = (FULL, tuple(range(len(NETS)))) if options.full else (QUICK, None)
    rivals = tuple(n for n in RIVALS if options.full or n != SLOW_TO_START)
    rules = tuple(RATES) if options.full else ("adam",)
    swept: tuple[str, ...] = SWEPT
    if options.rivals is not None:
        chosen = (*NEEDED, *names_in(options.rivals, RIVALS, "rivals"))
        rivals = swept = tuple(n for n in RIVALS if n in chosen)
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
    race, short = _timing(options, default), _timing(options, SHORT)
    rounds = {
        part: count if options.rounds is None else race.rounds
        for part, count in trainings.ROUNDS.items()
    }
    nets = nets or QUICK_NETS
    return BenchPlan(parts, nets, rivals, swept, rules, threads, race, short, rounds)


def _timing(options: Namespace, default: Timing) -> Timing:
    """The default with what the options set."""
    given = {name: getattr(options, name) for name in ("warm_up", "rounds", "seconds")}
    return replace(default, **{k: v for k, v in given.items() if v is not None})


def _measured(plan: BenchPlan, command: str) -> Record:
    """Every part of the plan; each table is printed at once."""
    threads = max(plan.threads)
    record = new_record(command, plan.race, threads)
    print(f"timing and warming up take at least {plan.estimate:.0f} s", flush=True)
    if "race" in plan.parts:
        chosen, names = cases(plan.optimizers, plan.nets), plan.rivals
        for n in plan.threads:
            record["results"] += race(names, chosen, n, plan.race, print_result)
    if "sweep" in plan.parts:
        names, how, rule = plan.swept, plan.sweep, plan.optimizers[-1]
        record["sweep"] = sweep(names, rule, threads, how, print_result)
    trainers = tuple(n for n in TRAINERS if n in plan.rivals)
    for part, rounds in plan.rounds.items():
        if part in plan.parts:
            record[part] = trainings.measure(part, trainers, threads, rounds)
            for result in record[part]:
                print(f"\n{training_table(result).text()}", flush=True)
    return record


def _print(record: Record) -> None:
    tables = [table for section in sections(record) for table in section.tables]
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
