"""A process of a check: answers requests, a line of JSON each.

worker part NAME [quick]     {"checks": names}, then for {"run": i} a verdict,
                                 with {"lost": true} where its GPU answers no more
worker rival NAME            {"versions": ...} or {"missing": why}, then
    {"prepare": case}        {"loss", "seconds", "facts"}
    {"time": seconds}        what `measure` gives
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from xpnet.backend import Backend, get_backend
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.clock import measure
from xpnet.benchmarks.gpu.parts import PARTS
from xpnet.benchmarks.gpu.rivals import RIVALS
from xpnet.benchmarks.gpu.rivals.subject import Subject
from xpnet.benchmarks.gpu.verdicts import FAILED, told
from xpnet.benchmarks.worker import versions

Answer = dict[str, Any]
Handler = Callable[[Answer], Answer]
LOST: Answer = {"lost": True}  # beside a verdict: the process is of no use any more


def first_gpu() -> Backend:
    """The device that is checked."""
    return get_backend("cuda")


def serve_part(name: str, quick: bool, backend: Backend) -> tuple[Answer, Handler]:
    """(the greeting, what answers) of a part."""
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
        modules: the package that its module is in.
    """

    def __init__(self, name: str, modules: str = "xpnet.benchmarks.gpu.rivals") -> None:
        module, self.way = RIVALS[name]
        self.module: Any = importlib.import_module(f"{modules}.{module}")
        for package in self.module.PACKAGES[:1]:
            importlib.import_module(package)
        self.subject: Subject | None = None

    def answer(self, request: Answer) -> Answer:
        """Prepare a case, or time it."""
        if "prepare" in request:
            return self._prepare(Case.from_dict(request["prepare"]))
        assert self.subject is not None
        subject = self.subject
        return measure(subject.clock, subject.work, request["time"], subject.steps)

    def _prepare(self, case: Case) -> Answer:
        self.subject = None  # the last case's memory goes first
        began = time.perf_counter()
        subject: Subject = self.module.prepare(case, self.way)
        subject.take_checked_steps()
        loss = subject.loss()
        self.subject = subject
        seconds = time.perf_counter() - began
        return {"loss": loss, "seconds": seconds, "facts": subject.facts}


def serve_rival(name: str) -> tuple[Answer, Handler]:
    """(the greeting, what answers) of a rival."""
    rival = Rival(name)
    return {"versions": versions(rival.module.PACKAGES)}, rival.answer


def start(arguments: list[str]) -> tuple[Answer, Handler | None]:
    """The greeting and what answers; None where it cannot start."""
    kind, name, *rest = arguments
    try:
        if kind == "part":
            return serve_part(name, "quick" in rest, first_gpu())
        return serve_rival(name)
    except ImportError as error:
        return {"missing": told(error)}, None
    except Exception as error:
        return {"failed": told(error)}, None


def main(arguments: list[str]) -> None:
    """Serve requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    greeting, handler = start(arguments)
    print(json.dumps(greeting), file=answers)
    for line in sys.stdin if handler is not None else ():
        assert handler is not None
        try:
            answer = handler(json.loads(line))
        except Exception as error:
            answer = {"failed": told(error)}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1:])
