"""The five nets: xpnet's ways beside its rivals, each in a process of its own.

All start from the same weights and must have hand-written NumPy's loss after CHECKED
steps, to 1e-4, before they are timed in interleaved rounds. Strict float32.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.process import WORKER, NoAnswerError, Process
from xpnet.benchmarks.gpu.rivals import RIVALS
from xpnet.benchmarks.gpu.rivals.subject import CHECKED
from xpnet.benchmarks.gpu.verdicts import DIFFERS, FAILED, MISSING, OK, Figures, Line
from xpnet.benchmarks.race import AGREE
from xpnet.benchmarks.rivals import numpy_

Answer = dict[str, Any]
STARTING = 60.0  # seconds to import a framework
PREPARING = 60.0  # seconds to compile a step and take the checked ones
ROUNDS, SECONDS = 3, 0.15
TIMES = ("gpu_us", "enqueue_us", "wall_us")


@dataclass
class Entrant:
    """A rival and how far it has come.

    Attributes:
        name: of `RIVALS`.
        process: its worker; None once it has been given up.
        missing: why it is not there; empty where it is.
        versions: of its packages.
        line: its verdict on the present case.
        rounds: what it has been timed with there.
    """

    name: str
    process: Process | None = None
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    line: Line | None = None
    rounds: list[Answer] = field(default_factory=list)


def expected_loss(case: Case) -> float:
    """Hand-written NumPy's loss after CHECKED steps."""
    step, loss = numpy_.prepare(case)
    for _ in range(CHECKED):
        step()
    return loss()


class Contest:
    """Rivals on one net after the other.

    Args:
        names: of `RIVALS`.
        end: on `time.monotonic()`, when all must be over.
        command: that starts a worker.
    """

    def __init__(
        self, names: list[str], end: float, command: tuple[str, ...] = WORKER
    ) -> None:
        self.end, self.command = end, command
        self.entrants = [Entrant(name) for name in names]

    def run(self, cases: list[Case], show: Callable[[list[Line]], None]) -> list[Line]:
        """A line a rival and case, in the order of the cases."""
        lines = []
        try:
            for case in cases:
                found = self.one(case)
                show(found)
                lines += found
        finally:
            for entrant in self.entrants:
                if entrant.process is not None:
                    entrant.process.close()
        return lines

    def one(self, case: Case) -> list[Line]:
        """The rivals' lines on one case."""
        for entrant in self.entrants:
            entrant.line, entrant.rounds = None, []
        if self._left() > 0.0:
            self._start()
            self._prepare(case)
            for _ in range(ROUNDS):
                for entrant in self._running():
                    self._time(entrant)
        return [self._line(entrant, case) for entrant in self.entrants]

    def _left(self) -> float:
        return self.end - time.monotonic()

    def _running(self) -> list[Entrant]:
        return [e for e in self.entrants if e.line is None and e.process is not None]

    def _start(self) -> None:
        """Start the processes that are not there, all at once."""
        fresh = [e for e in self.entrants if e.process is None and not e.missing]
        for entrant in fresh:
            entrant.process = Process(["rival", entrant.name], self.command)
        for entrant in fresh:
            assert entrant.process is not None
            greeting = self._receive(entrant, STARTING)
            if "missing" in greeting:
                entrant.missing = greeting["missing"]
            entrant.versions = greeting.get("versions", {})

    def _prepare(self, case: Case) -> None:
        """Let all compile at once, and compare their losses with NumPy's."""
        running = [e for e in self._running() if not e.missing]
        for entrant in running:
            assert entrant.process is not None
            entrant.process.send({"prepare": case.to_dict()})
        expected = expected_loss(case)
        for entrant in running:
            answer = self._receive(entrant, PREPARING)
            if "loss" not in answer:
                continue
            loss = answer["loss"]
            figures = {"loss": loss, "prepared_s": answer["seconds"]}
            entrant.rounds.append(figures | answer["facts"])
            if not abs(loss - expected) <= AGREE * max(1.0, expected):
                note = f"loss {loss:.6f} after {CHECKED} steps, not {expected:.6f}"
                entrant.line = Line("", DIFFERS, note)

    def _time(self, entrant: Entrant) -> None:
        assert entrant.process is not None
        if entrant.missing:
            return
        entrant.process.send({"time": SECONDS})
        answer = self._receive(entrant, PREPARING)
        if "gpu_us" in answer:
            entrant.rounds.append(answer)

    def _receive(self, entrant: Entrant, seconds: float) -> Answer:
        """The answer; a failure becomes the entrant's verdict on this case."""
        assert entrant.process is not None
        try:
            answer = entrant.process.receive(min(seconds, self._left()))
        except NoAnswerError as error:
            answer = {"failed": str(error)}
        if "failed" in answer:  # a fault of the GPU may have made it useless
            entrant.process.close()
            entrant.process = None
            entrant.line = Line("", FAILED, answer["failed"])
        return answer

    def _line(self, entrant: Entrant, case: Case) -> Line:
        """The entrant's line, with the medians of its rounds."""
        line = entrant.line
        if entrant.missing:
            line = Line("", MISSING, entrant.missing)
        timed = [r for r in entrant.rounds if "gpu_us" in r]
        if line is None and not timed:
            line = Line("", FAILED, "no time was left")
        figures: Figures = {}
        for facts in entrant.rounds[:1]:
            figures |= {k: v for k, v in facts.items() if k not in TIMES}
        if line is None:
            line = Line("", OK)
            figures |= {key: median(r[key] for r in timed) for key in TIMES}
            figures["gpu_min_us"] = min(r["gpu_min_us"] for r in timed)
            figures["gpu_max_us"] = max(r["gpu_max_us"] for r in timed)
        figures |= {"versions": entrant.versions} if entrant.versions else {}
        name = f"{case.net}: {entrant.name}"
        return Line(name, line.verdict, line.note, figures)


def ours(name: str) -> bool:
    """Whether a line's name is that of a way of xpnet's."""
    return name.partition(": ")[2].startswith("xpnet")


def chosen(quick: bool) -> list[str]:
    """The rivals of a check; a quick one is among xpnet's own ways."""
    return [name for name in RIVALS if not quick or name.startswith("xpnet")]
