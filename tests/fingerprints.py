"""Fingerprints of what the cases become: texts, lists of calls, and parameters.

    python -m tests.fingerprints --write FILE
    python -m tests.fingerprints --check FILE

A change that is to change nothing leaves them as they are. One that changes some says
why, and writes them anew: tests/fingerprints.json.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from tests.cases import CASES
from tests.cuda.fibers import FiberDriver, FiberModule, Unit
from tests.standin import standin_backend
from tests.ways import THERE, WAYS, Arrays, programs, record_kernels
from xpnet.compiler import Program
from xpnet.compiler.c.linker import runtime
from xpnet.compiler.cuda.module import handwritten

FILE = Path(__file__).with_name("fingerprints.json")
TAKEN = ("calls", "parts", "C", "stack")
Ways = dict[str, dict[str, str]]
Run = Callable[[str, str], tuple[Arrays, list[Program]]]


def facts() -> dict[str, str]:
    """What the bits of a result depend on, besides the program."""
    kinds = {str(one.get("architecture")) for one in threadpool_info()}
    return {
        "machine": f"{sys.platform} {platform.machine()}",
        "numpy": np.__version__,
        "blas": " ".join(sorted(kinds)),
    }


def _hash(parts: Iterable[str | bytes]) -> str:
    found = sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:16]


def _described(value: Any, bases: dict[int, tuple[int, int]]) -> str:
    """An argument of a call, without what it holds and where it lies."""
    if isinstance(value, np.ndarray):
        base = value
        while isinstance(base.base, np.ndarray):
            base = base.base
        start = value.ctypes.data
        place, first = bases.setdefault(id(base), (len(bases), start))
        return f"{place}{start - first:+}{value.dtype}{value.shape}{value.strides}"
    if isinstance(value, tuple | list):
        return "(" + " ".join(_described(part, bases) for part in value) + ")"
    if isinstance(value, int | float | str | None):
        return repr(value)
    signature = getattr(value, "signature", None)  # a kernel's
    return str(getattr(signature or value, "name", type(value).__name__))


def calls(program: Program) -> str:
    """Each segment's calls, an argument by the order in which its memory appears."""
    bases: dict[int, tuple[int, int]] = {}
    lines = []
    for segment, row in program.segments.items():
        lines.append(segment)
        for function, arguments in row:
            name = getattr(function, "__name__", type(function).__name__)
            lines.append(f"{name} {_described(arguments, bases)}")
    return "\n".join(lines)


def text(program: Program) -> str:
    """The text of a program's own loops or kernels."""
    found = program.source
    for head in (runtime(), handwritten()):
        found = found.removeprefix(head)
    return found


def parameters(found: Arrays) -> str:
    """The bits of all that a training has left."""
    return _hash(
        part for name in sorted(found) for part in (name, found[name].tobytes())
    )


class Reader(FiberDriver):
    """Takes kernels in, and compiles nothing."""

    def load(self, source: str) -> FiberModule:
        return FiberModule(Unit(source))


def marks(way: str, found: Arrays, made: list[Program]) -> dict[str, str]:
    """The fingerprints of what a case in a way has left, and of its programs."""
    own = {"parameters": parameters(found)}
    if WAYS[way].needs:
        own["text"] = _hash(sorted({text(program) for program in made}))
    else:
        own["calls"] = _hash(map(calls, made))
    return own


def kernels(case: str) -> dict[str, str]:
    """The fingerprint of a case's kernels, which are not compiled for it."""
    with programs() as made:
        record_kernels(CASES[case], replace(standin_backend(), driver=Reader()))
    return {"text": _hash(sorted({text(program) for program in made}))}


def taken(case: str, run: Run = lambda way, case: WAYS[way](CASES[case])) -> Ways:
    """The fingerprints of a case in each way that this machine has."""
    ways = [way for way in TAKEN if THERE[WAYS[way].needs]]
    own = {way: marks(way, *run(way, case)) for way in ways}
    return own | {"kernels": kernels(case)}


def differences(
    found: dict[str, Ways], wanted: dict[str, Ways], same_machine: bool
) -> list[str]:
    """What is not as it was; parameters only where they can be the same."""
    return [
        f"{case}, {way}: {kind}"
        for case, ways in found.items()
        for way, own in ways.items()
        for kind, mark in own.items()
        if (kind != "parameters" or same_machine)
        and wanted.get(case, {}).get(way, {}).get(kind) != mark
    ]


def main() -> int:
    """Write the fingerprints, or compare them with those of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--write", type=Path, metavar="FILE")
    asked.add_argument("--check", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    os.environ["XPNET_JIT"] = "0"
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, "blas"):
        os.environ["XPNET_CACHE_DIR"] = folder
        found = {case: taken(case) for case in CASES}
    if chosen.write is not None:
        record = {"facts": facts(), "marks": found}
        chosen.write.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        return 0
    record = json.loads(chosen.check.read_text())
    same_machine = record["facts"] == facts()
    if not same_machine:
        print("Another machine or NumPy: parameters are not compared.")
    told = differences(found, record["marks"], same_machine)
    print("\n".join(told) or "Nothing has changed.")
    return bool(told)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
