"""What a worker of the check does.

serve part NAME [quick]      {"checks": names}, then for {"run": i} a verdict,
                                 with {"lost": true} if the GPU no longer answers
serve rival NAME             {"versions": ...}, then
    {"prepare": case}        {"loss20", "seconds", "facts"}
    {"warm": seconds}        {}, because `measure` warms up
    {"time": seconds}        what `measure` returns
"""

import importlib
import time
from typing import Any

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.answers import Answer, Served
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.clock import measure
from xpnet.benchmarks.gpu.parts import PARTS
from xpnet.benchmarks.gpu.rivals import RIVALS, Subject
from xpnet.benchmarks.gpu.verdicts import FAILED
from xpnet.common.machine import versions

LOST: Answer = {"lost": True}  # beside a verdict: the process is of no further use


def serve(kind: str, name: str, *options: str) -> Served:
    """A part or a rival: the greeting, and what answers requests."""
    if kind == "part":
        return serve_part(name, "quick" in options, first_gpu())
    rival = Rival(name)
    return {"versions": versions(*rival.module.PACKAGES)}, rival.answer


def first_gpu() -> Backend:
    """The device that is checked."""
    return get_backend("cuda")


def serve_part(name: str, quick: bool, backend: Backend) -> Served:
    """The names of a part's checks, and what runs them."""
    checks = PARTS[name].checks(backend, quick)

    def answer(request: Answer) -> Answer:
        line = checks[request["run"]].line()
        lost = line.verdict == FAILED and _is_lost(backend)
        return line.to_dict() | (LOST if lost else {})

    return {"checks": [check.name for check in checks]}, answer


def _is_lost(backend: Backend) -> bool:
    """Whether CUDA refuses everything since a fault: only a new process helps then."""
    try:
        with backend.active():
            backend.synchronize()
    except Exception:
        return True
    return False


class Rival:
    """Answers for one rival.

    Args:
        name: of `RIVALS`.
    """

    def __init__(self, name: str) -> None:
        module, self.way = RIVALS[name]
        place = f"xpnet.benchmarks.gpu.rivals.{module}"
        self.module: Any = importlib.import_module(place)
        importlib.import_module(self.module.PACKAGES[0])
        self.subject: Subject | None = None

    def answer(self, request: Answer) -> Answer:
        """Prepare a case, or time it."""
        if "prepare" in request:
            return self._prepare(Case.from_dict(request["prepare"]))
        if "warm" in request:
            return {}
        assert self.subject is not None
        subject = self.subject
        return measure(subject.clock, subject.work, request["time"], subject.steps)

    def _prepare(self, case: Case) -> Answer:
        self.subject = None  # frees the memory of the last case
        began = time.perf_counter()
        subject: Subject = self.module.prepare(case, self.way)
        subject.take_checked_steps()
        loss = subject.loss()
        self.subject = subject
        seconds = time.perf_counter() - began
        return {"loss20": loss, "seconds": seconds, "facts": subject.facts}
