"""Where a step's time goes: its products in the step and alone, and all the rest.

    python -m xpnet.benchmarks.breakdown     # --help for the rest

A clock runs between the calls of a recorded step, its own cost taken off. A kind of
call is also run alone, over and over: what it then takes less is what the step's other
calls cost it, by taking its data out of the caches.
"""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from xpnet.benchmarks.cases import NETS, RATES, Case, cases
from xpnet.benchmarks.machine import clean_environment
from xpnet.benchmarks.options import cores, names_in, numbers_in
from xpnet.benchmarks.rivals import products_
from xpnet.benchmarks.subjects import trainer
from xpnet.benchmarks.tables import breakdown_table
from xpnet.compiler import Call, can_compile
from xpnet.compiler import c as native
from xpnet.execution import c_steps

Answer = dict[str, Any]
PRODUCTS, SUMS, LOOPS, NUMPY, UPDATE = KINDS = (
    *("products", "sums", "compiled loops", "NumPy calls", "update"),
)
ROUNDS, SECONDS = 9, 0.1


def measure(chosen: list[Case], threads: int, show: Any = None) -> list[Answer]:
    """A result a case, each from a process of its own."""
    results = []
    for case in chosen:
        command = [sys.executable, "-m", "xpnet.benchmarks.breakdown", "--one"]
        done = subprocess.run(
            [*command, json.dumps(case.to_dict())],
            env=clean_environment(threads),
            capture_output=True,
            text=True,
        )
        head = {**case.to_dict(), "net": case.net, "threads": threads}
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            results.append({**head, "note": f"failed: {why}"})
        else:
            results.append({**head, **json.loads(done.stdout)})
        if show:
            show(results[-1])
    return results


def one(case: Case) -> Answer:
    """Medians in microseconds: {"step", "floor", "kinds": {kind: ...}, ...}."""
    subject = trainer(case, jit=can_compile())
    x, y = case.data()

    def step() -> None:
        subject.step(x, y)

    for _ in range(3):
        step()
    calls = _kinds(subject)
    alone = {kind: [c for k, c in calls if k == kind] for kind in KINDS}
    floor, _ = products_.prepare(case)
    rounds: dict[str, list[Any]] = {"step": [], "floor": [], "inside": [], "alone": []}
    for _ in range(ROUNDS):
        rounds["step"].append(_time(step))
        rounds["inside"].append(_inside(calls))
        rounds["floor"].append(_time(floor))
        rounds["alone"].append({k: _time(_replay(c)) for k, c in alone.items() if c})
    return {
        "step": median(rounds["step"]),
        "floor": median(rounds["floor"]),
        "kinds": {
            kind: {
                "calls": len(alone[kind]),
                "us": median(r[kind] for r in rounds["inside"]),
                "alone_us": median(r[kind] for r in rounds["alone"]),
            }
            for kind in KINDS
            if alone[kind]
        },
        "calls_without_jit": len(_kinds(_without_jit(case, x, y))),
        "smallest_call_us": _time(_replay([(np.add, (*np.zeros((3, 1)),))])),
    }


def _without_jit(case: Case, x: Any, y: Any) -> Any:
    subject = trainer(case, jit=False)
    subject.step(x, y)
    return subject


def _kinds(subject: Any) -> list[tuple[str, Call]]:
    """The calls of a step in order, each with its kind."""
    program = subject.newest.program
    if c_steps.possible(program.native):
        return _native_kinds(program.native)
    segments = program.segments
    found = [(_kind(*call), call) for call in segments["gradients"]]
    return found + [(UPDATE, call) for call in segments["update"]]


def _native_kinds(found: native.Native) -> list[tuple[str, Call]]:
    """Likewise for a program in C: each of its calls as one from Python."""
    calls: list[tuple[str, Call]] = []
    for op in (*found.ops["gradients"], *found.ops["update"]):
        table = found.link([op])
        found.tables.append(table)  # which the call reads
        kind = LOOPS if op.name.startswith("loop") else NUMPY
        if op.name == "matmul":
            kind = SUMS if 1 in op.counts[1:] else PRODUCTS
        kind = UPDATE if op in found.ops["update"] else kind
        calls.append((kind, (found.library.run, (table.address, 1, 0, 1, 0))))
    return calls


def _kind(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    name = getattr(function, "__name__", "")
    if name in ("loop", "shared"):
        return LOOPS
    if name not in ("dot", "matmul"):
        return NUMPY
    operands = [getattr(function, "__self__", None), *arguments]
    arrays = [a for a in operands if isinstance(a, np.ndarray)]
    return SUMS if 1 in (n for a in arrays for n in a.shape) else PRODUCTS


def _replay(calls: list[Call]) -> Callable[[], None]:
    def replay() -> None:
        for function, arguments in calls:
            function(*arguments)

    return replay


def _time(step: Callable[[], object]) -> float:
    """Microseconds a step, over about SECONDS."""
    began = time.perf_counter()
    step()
    once = time.perf_counter() - began
    count = max(1, min(2000, int(SECONDS / max(once, 1e-7))))
    began = time.perf_counter()
    for _ in range(count):
        step()
    return 1e6 * (time.perf_counter() - began) / count


def _inside(calls: list[tuple[str, Call]]) -> dict[str, float]:
    """Microseconds of each kind within a step: the sum of its calls' medians."""
    clock = time.perf_counter
    times: list[list[float]] = [[] for _ in calls]
    empty: list[float] = []
    end = clock() + SECONDS
    while clock() < end or not empty:
        for took, (_, (function, arguments)) in zip(times, calls, strict=True):
            began = clock()
            function(*arguments)
            took.append(clock() - began)
        began = clock()
        empty.append(clock() - began)
    cost = median(empty)
    total = dict.fromkeys(KINDS, 0.0)
    for took, (kind, _) in zip(times, calls, strict=True):
        total[kind] += 1e6 * max(median(took) - cost, 0.0)
    return total


def show(result: Answer) -> None:
    """The table of one case."""
    print(f"\n{breakdown_table(result).text()}", flush=True)


def main(arguments: list[str]) -> None:
    """Print the breakdown of the cases that the options name."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(one(Case.from_dict(json.loads(arguments[1])))))
        return
    parser = ArgumentParser(description="Where the time of a step goes.")
    add = parser.add_argument
    add("--optimizers", default=",".join(RATES), help="[%(default)s]")
    add("--nets", default="0,1,2,3,4", help="by number [%(default)s]")
    add("--threads", type=int, default=cores(), help="[%(default)s]")
    options = parser.parse_args(arguments)
    rules = names_in(options.optimizers, RATES, "optimizers")
    nets = numbers_in(options.nets, "nets", 0, len(NETS) - 1)
    measure(cases(rules, nets), options.threads, show)


if __name__ == "__main__":
    main(sys.argv[1:])
