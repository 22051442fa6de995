"""What the commands of the benchmarks share: their options, checked at once."""

import argparse
import os
from collections.abc import Collection
from typing import Any

from xpnet.benchmarks.timing import Timing
from xpnet.common import check_file, choose


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def add_timing(parser: argparse.ArgumentParser, how: Timing) -> None:
    """--threads, --warm-up, --rounds, --seconds and --json."""
    add = parser.add_argument
    add("--threads", type=int, default=cores(), help="of BLAS and loops [%(default)s]")
    add("--warm-up", type=float, default=how.warm_up, help="seconds [%(default)s]")
    add("--rounds", type=int, default=how.rounds, help="[%(default)s]")
    add("--seconds", type=float, default=how.seconds, help="a rival and round")
    add("--json", metavar="FILE", help="write the record there")


def timing(options: Any) -> Timing:
    """The options' Timing; ValueError for what is out of range or unwritable."""
    if options.threads < 1:
        raise ValueError(f"--threads: expected at least 1, got {options.threads}")
    if options.json:
        check_file(options.json, "--json")
    return Timing(options.warm_up, options.rounds, options.seconds)


def names_in(text: str, table: Collection[str], what: str) -> tuple[str, ...]:
    """The names in "a,b,c", each once; ValueError for one that `table` lacks."""
    names = list(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names:
        raise ValueError(f"--{what}: expected one of {', '.join(table)}, got nothing")
    known = {name: name for name in table}
    return tuple(choose(name, known, what.removesuffix("s")) for name in names)


def numbers_in(text: str, what: str, low: int, high: int | None) -> tuple[int, ...]:
    """The whole numbers in "0,1,4", each once; ValueError for one out of range."""
    limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
    expected = f"--{what}: expected numbers {limits} such as {low},{low + 1}"
    try:
        numbers = list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise ValueError(f"{expected}, got {text!r}") from None
    for number in numbers:
        if number < low or (high is not None and number > high):
            raise ValueError(f"{expected}, got {number}")
    return tuple(numbers)
