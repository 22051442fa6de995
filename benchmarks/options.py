"""The options that the commands of the benchmarks share, and the record they write."""

import argparse
import shlex
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.record import Timing, new_record, write
from xpnet.common import check_file, choose
from xpnet.common.machine import cores


class Command:
    """The command line of a part that `xpnet bench` does not hold.

    Args:
        part: the module of the command, and its results' key in the record.
        rivals: that it knows.
        rounds: if none are asked for.
    """

    def __init__(self, part: str, rivals: Collection[str], rounds: int) -> None:
        self.part, self.rivals = part, rivals
        self.parser = argparse.ArgumentParser(f"python -m xpnet.benchmarks.{part}")
        self.add = self.parser.add_argument
        self.add("--rivals", default=",".join(rivals), help="[%(default)s]")
        self.add("--threads", type=int, default=cores(), help="[%(default)s]")
        self.add("--rounds", type=int, default=rounds, help="[%(default)s]")
        self.add("--json", metavar="FILE", help="write the record there")

    def run(
        self,
        arguments: list[str] | None,
        measure: Callable[[tuple[str, ...], Any], list[Answer]],
        text: Callable[[Answer], str],
    ) -> None:
        """Measure what the arguments ask for, print it, write the record.

        Args:
            arguments: of the command line; None: those of the process.
            measure: (rivals, options) -> results.
            text: of a result.
        """
        arguments = sys.argv[1:] if arguments is None else arguments
        options: Any = self.parser.parse_args(arguments)
        how = Timing(0.0, options.rounds)
        names = names_in(options.rivals, self.rivals, "rivals")
        if options.json:
            check_file(options.json, "--json")
            command = shlex.join([*self.parser.prog.split(), *arguments])
            record = new_record(command, how, options.threads)
        results = measure(names, options)
        for result in results:
            print(f"\n{text(result)}")
        if options.json:
            write(record | {self.part: results}, Path(options.json))


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
