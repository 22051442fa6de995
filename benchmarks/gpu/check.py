"""The whole check: each part in its own process, for a limited time, into one record.

Parts that compare run at the same time, parts that are timed one after the other.

{"format": 1, "kind": "gpu-check", "date", "command", "seconds", "verdict", "device",
 "clocks": {"before", "after"}, "machine", "parts": [{"part", "title", "judged",
 "seconds", "lines": [{"name", "verdict", "note", "figures"}, ...]}, ...]}

The record is written after every part, and after every net of the last one, so that a
check that is stopped leaves its results.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS, cases
from xpnet.benchmarks.gpu.contest import chosen, contest, ours
from xpnet.benchmarks.gpu.parts import PARTS, QUICK_NETS
from xpnet.benchmarks.gpu.report import contest_text, head_text, part_text, tail_text
from xpnet.benchmarks.gpu.serve import LOST
from xpnet.benchmarks.gpu.verdicts import FAILED, OK, Line
from xpnet.benchmarks.machine import clocks, collect, device_facts
from xpnet.benchmarks.process import WORKER, NoAnswerError, Process
from xpnet.common.files import write_whole
from xpnet.common.machine import cores

Record = dict[str, Any]
FORMAT = 1
TEN_MINUTES = 600.0
QUICK_SHARE = 0.4  # of a part's time
ENDING = 20.0  # seconds of ten minutes: to start, to end processes, to write the record
CONTEST = "nets"


class GpuCheck:
    """One check.

    Args:
        backend: the device.
        out: the file of the record; None: the record is not written.
        minutes: time limit.
        quick: fewer sizes, and no rivals.
        command: starts a worker.
        show: prints the text of a part.
    """

    def __init__(
        self,
        backend: Backend,
        out: Path | None = None,
        minutes: float = 10.0,
        quick: bool = False,
        command: tuple[str, ...] = WORKER,
        show: Callable[[str], None] = print,
    ) -> None:
        self.out, self.quick, self.command, self.show = out, quick, command, show
        self.began = time.monotonic()
        self.seconds = 60.0 * minutes
        self.record: Record = {
            "format": FORMAT,
            "kind": "gpu-check",
            "date": time.strftime("%Y-%m-%d"),
            "command": f"xpnet gpu-check --minutes {minutes:g}"
            + (" --quick" if quick else ""),
            "verdict": "unfinished",
            "device": device_facts(backend),
            "clocks": {"before": clocks()},
            "machine": collect(),
            "parts": [],
        }

    def run(self) -> bool:
        """Run all parts; True if every comparison that counts is right."""
        self.show(head_text(self.record))
        untimed = [name for name, part in PARTS.items() if not part.timed]
        with ThreadPoolExecutor(cores()) as pool:
            for name, found in zip(untimed, pool.map(self.timed, untimed), strict=True):
                self._part(name, *found)
        for name, part in PARTS.items():
            if part.timed:
                self._part(name, *self.timed(name))
        self._contest()
        right = all(
            line["verdict"] == OK
            for part in self.record["parts"]
            for line in part["lines"]
            if part["judged"] and (part["part"] != CONTEST or ours(line["name"]))
        )
        self.record["verdict"] = OK if right else "not ok"
        self.record["clocks"]["after"] = clocks()
        self._write()
        self.show(tail_text(self.record))
        return right

    def timed(self, name: str) -> tuple[list[Line], float]:
        """The lines of a part, and its seconds."""
        began = time.monotonic()
        lines = list(self.lines_of(name))
        return lines, time.monotonic() - began

    def _part(self, name: str, lines: list[Line], seconds: float) -> None:
        part = PARTS[name]
        self.add(name, part.title, part.judged, lines, seconds)
        self.show(part_text(self.record["parts"][-1]))

    def left(self) -> float:
        """Seconds until the time limit of the check."""
        return self.seconds - (time.monotonic() - self.began)

    def lines_of(self, name: str) -> Iterator[Line]:
        """A line per check of a part, even if its process ends or hangs."""
        own = PARTS[name].seconds * self.seconds / TEN_MINUTES
        allowed = min(self.left(), own * (QUICK_SHARE if self.quick else 1.0))
        end = time.monotonic() + allowed
        quick = ["quick"] if self.quick else []
        process: Process | None = None
        names, at = ["the part"], 0
        try:
            while at < len(names):
                if process is None:
                    start = ["gpu.serve", "part", name, *quick]
                    process = Process(start, 1, self.command)
                    greeting = process.receive(end - time.monotonic())
                    if "checks" not in greeting:
                        yield Line(names[at], FAILED, next(iter(greeting.values())))
                        return
                    names = greeting["checks"]
                try:
                    answer = process.ask({"run": at}, end - time.monotonic())
                except NoAnswerError as error:
                    answer = Line(names[at], FAILED, str(error)).to_dict() | LOST
                lost = answer.pop("lost", False)
                yield Line.from_dict(answer)
                if lost:
                    process.close()
                    process = None
                at += 1
                if time.monotonic() > end:
                    break
            if at < len(names):
                note = f"{len(names) - at} checks had no time left of {allowed:.0f} s"
                yield Line("the rest", FAILED, note)
        except NoAnswerError as error:
            yield Line(names[at], FAILED, str(error))
        finally:
            if process is not None:
                process.close()

    def _contest(self) -> None:
        began = time.monotonic()
        nets = tuple(range(QUICK_NETS if self.quick else len(NETS)))
        end = began + self.left() - ENDING * self.seconds / TEN_MINUTES
        lines: list[Line] = []

        def found(of_one: list[Line]) -> None:
            if lines:  # replaces what the record says of the nets before
                self.record["parts"].pop()
            lines.extend(of_one)
            seconds = time.monotonic() - began
            self.add(CONTEST, "steps of whole nets", True, lines, seconds)
            self.show(contest_text(of_one))

        names = chosen(self.quick)
        contest(names, cases(("adam",), nets), end, found, self.command)

    def add(
        self, name: str, title: str, judged: bool, lines: list[Line], seconds: float
    ) -> None:
        """Put a part into the record, and the record into its file."""
        self.record["parts"].append(
            {
                "part": name,
                "title": title,
                "judged": judged,
                "seconds": round(seconds, 2),
                "lines": [line.to_dict() for line in lines],
            }
        )
        self._write()

    def _write(self) -> None:
        self.record["seconds"] = round(time.monotonic() - self.began, 1)
        if self.out is None:
            return
        write_whole(self.out, json.dumps(self.record, indent=1) + "\n")
