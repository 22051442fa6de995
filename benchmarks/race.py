"""A race: every rival on every case, in interleaved rounds.

    python -m xpnet.benchmarks.race --json FILE     # --help for the rest

In each round every rival has the machine for a moment, one after the other, so that
what slows the machine slows all. A rival's figure is the median of its rounds; ratios
are medians of the rounds' ratios. Before it is timed, each must reach the same loss as
hand-written NumPy after 20 steps from the same weights, to 1e-4, and then runs for as
long as all others to warm up.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xpnet.benchmarks.cases import NETS, RATES, Case, cases
from xpnet.benchmarks.options import add_timing, names_in, numbers_in, timing
from xpnet.benchmarks.process import Answer, Worker
from xpnet.benchmarks.record import new_record, write
from xpnet.benchmarks.rivals import RIVALS
from xpnet.benchmarks.summary import add_summaries
from xpnet.benchmarks.tables import race_table
from xpnet.benchmarks.timing import Timing

AGREE = 1e-4
Show = Callable[[Answer], None]


def race(
    names: Sequence[str],
    chosen: list[Case],
    threads: int,
    how: Timing,
    show: Show | None = None,
) -> list[Answer]:
    """A result a case: {"net", "optimizer", "threads", "rivals": {name: ...}}."""
    workers = {name: Worker(name, threads) for name in names}
    results = []
    try:
        for case in chosen:
            for name in [n for n, worker in workers.items() if not worker.alive]:
                workers[name].close()
                workers[name] = Worker(name, threads)
            rows = one(workers, case, how)
            head = {**case.to_dict(), "net": case.net, "threads": threads}
            results.append({**head, "timing": how.to_dict(), "rivals": rows})
            if show:
                show(results[-1])
    finally:
        for worker in workers.values():
            worker.close()
    return results


def one(workers: dict[str, Worker], case: Case, how: Timing) -> dict[str, Answer]:
    """The rivals' rows for one case."""
    rows = {name: _prepared(worker, case) for name, worker in workers.items()}
    check_losses(rows)
    for name in _running(rows):
        _ask(rows[name], workers[name], {"warm": how.warm_up})
    for name in _running(rows):
        rows[name]["rounds_us"] = []
    for _ in range(how.rounds):
        for name in _running(rows):
            answer = _ask(rows[name], workers[name], {"time": how.seconds})
            if "us" in answer:
                rows[name]["rounds_us"].append(answer["us"])
    for row in rows.values():
        if "note" in row:
            row.pop("rounds_us", None)
    add_summaries(rows, "us")
    return rows


def _running(rows: dict[str, Answer]) -> list[str]:
    return [name for name, row in rows.items() if "note" not in row]


def _prepared(worker: Worker, case: Case) -> Answer:
    if "missing" in worker.hello:
        return {"note": f"not installed: {worker.hello['missing']}"}
    row: Answer = {"versions": worker.hello.get("versions", {})}
    answer = _ask(row, worker, {"prepare": case.to_dict()})
    return row | {k: v for k, v in answer.items() if k != "failed"}


def _ask(row: Answer, worker: Worker, request: Answer) -> Answer:
    """The answer; a failure becomes the row's note."""
    answer = worker.ask(request)
    if "failed" in answer:
        row["note"] = f"left out: {answer['failed']}"
    elif "warm" in request:
        row |= answer
    return answer


def check_losses(rows: dict[str, Answer]) -> None:
    """Leave out who computes something else than hand-written NumPy."""
    expected = rows.get("numpy", {}).get("loss20")
    if expected is None:
        return
    for row in rows.values():
        loss = row.get("loss20")
        if loss is not None and not abs(loss - expected) <= AGREE * max(1.0, expected):
            row["note"] = (
                f"left out: loss {loss:.6f} after 20 steps, not {expected:.6f}"
            )


def print_result(result: Answer) -> None:
    """The table of one case."""
    print(f"\n{race_table(result).text()}", flush=True)


def parser() -> argparse.ArgumentParser:
    """Its options."""
    parser = argparse.ArgumentParser(description="Every rival in interleaved rounds.")
    add = parser.add_argument
    add("--rivals", default=",".join(RIVALS), help="[%(default)s]")
    add("--optimizers", default=",".join(RATES), help="[%(default)s]")
    add("--nets", default="0,1,2,3,4", help="by number [%(default)s]")
    add_timing(parser, Timing())
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the race that the options ask for."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options: Any = parser().parse_args(arguments)
    names = names_in(options.rivals, RIVALS, "rivals")
    rules = names_in(options.optimizers, RATES, "optimizers")
    nets = numbers_in(options.nets, "nets", 0, len(NETS) - 1)
    how = timing(options)
    command = shlex.join(["python", "-m", "xpnet.benchmarks.race", *arguments])
    record = new_record(command, how, options.threads) if options.json else {}
    results = race(names, cases(rules, nets), options.threads, how, print_result)
    if options.json:
        write(record | {"results": results}, Path(options.json))


if __name__ == "__main__":
    main()
