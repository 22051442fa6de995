"""A race: every rival on every case, in interleaved rounds.

    python -m xpnet.benchmarks.race --json FILE     # --help for the rest

In each round every rival has the machine for a moment, one after the other, so that
what slows the machine slows all. A rival's figure is the median of its rounds; ratios
are medians of the rounds' ratios. Before it is timed, each must reach the same loss as
hand-written NumPy after 20 steps from the same weights, to 1e-4.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from xpnet.benchmarks.cases import Case, cases
from xpnet.benchmarks.machine import clean_environment, facts
from xpnet.benchmarks.rivals import RIVALS

AGREE = 1e-4
Answer = dict[str, Any]


class Worker:
    """A rival's process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xpnet.benchmarks.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(threads),
            text=True,
        )
        self.hello = self._read()

    def _read(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: Answer = json.loads(line) if line else {"failed": "the process ended"}
        return answer

    def ask(self, request: Answer) -> Answer:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"failed": "the process ended"}
        return self._read()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def race(
    names: list[str], chosen: list[Case], threads: int, rounds: int, seconds: float
) -> list[Answer]:
    """A result a case: {"net", "optimizer", "threads", "rivals": {name: ...}}."""
    workers = {name: Worker(name, threads) for name in names}
    try:
        return [_one(workers, case, threads, rounds, seconds) for case in chosen]
    finally:
        for worker in workers.values():
            worker.close()


def _one(
    workers: dict[str, Worker], case: Case, threads: int, rounds: int, seconds: float
) -> Answer:
    rows: dict[str, Answer] = {}
    for name, worker in workers.items():
        if "missing" in worker.hello:
            rows[name] = {"note": f"not installed: {worker.hello['missing']}"}
            continue
        answer = worker.ask({"prepare": case.to_dict()})
        rows[name] = {"versions": worker.hello["versions"], **answer}
        if "failed" in answer:
            rows[name]["note"] = f"left out: {answer['failed']}"
    _check_losses(rows)
    running = [name for name, row in rows.items() if "note" not in row]
    series: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name in running:
            series[name].append(workers[name].ask({"time": seconds})["us"])
    for name in running:
        rows[name] |= _summary(series[name], series.get("xpnet"))
    result = {"net": case.net, "optimizer": case.optimizer, "threads": threads}
    _show({**result, "rivals": rows})
    return {**result, "rivals": rows}


def _check_losses(rows: dict[str, Answer]) -> None:
    """Leave out who computes something else."""
    expected = rows.get("numpy", {}).get("loss20")
    if expected is None:
        return
    for row in rows.values():
        loss = row.get("loss20")
        if loss is not None and abs(loss - expected) > AGREE * max(1.0, expected):
            row["note"] = (
                f"left out: loss {loss:.6f} after 20 steps, not {expected:.6f}"
            )


def _summary(times: list[float], ours: list[float] | None) -> Answer:
    quarter, middle, three = (
        statistics.quantiles(times, n=4) if len(times) > 1 else (times * 3)
    )
    summary = {"us": middle, "iqr_us": three - quarter, "rounds_us": times}
    if ours is not None:
        ratios = [a / b for a, b in zip(ours, times, strict=True)]
        summary["xpnet_over_this"] = statistics.median(ratios)
    return summary


def _show(result: Answer) -> None:
    print(f"\n{result['net']}, {result['optimizer']}, {result['threads']} threads")
    for name, row in result["rivals"].items():
        if "note" in row:
            print(f"  {RIVALS[name]:28} {row['note']}")
            continue
        ratio = row.get("xpnet_over_this")
        shown = "" if ratio is None else f"   xpnet / this {ratio:6.3f}"
        spread = f"± {row['iqr_us'] / 2:.1f}"
        print(
            f"  {RIVALS[name]:28} {row['us']:10.1f} {spread:>8} us{shown}", flush=True
        )


def main() -> None:
    """Run the race that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rivals", default=",".join(RIVALS), help="[%(default)s]")
    parser.add_argument("--optimizers", default="sgd,adam", help="[%(default)s]")
    parser.add_argument("--nets", default="0,1,2,3,4", help="by number [%(default)s]")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=9, help="[%(default)s]")
    parser.add_argument("--seconds", type=float, default=0.3, help="a rival and round")
    parser.add_argument("--json", type=Path, help="write the record there")
    options = parser.parse_args()
    nets = {int(i) for i in options.nets.split(",")}
    rules = tuple(options.optimizers.split(","))
    chosen = [c for i, c in enumerate(cases(rules)) if i // len(rules) in nets]
    names = options.rivals.split(",")
    results = race(names, chosen, options.threads, options.rounds, options.seconds)
    if options.json:
        record = {
            "date": time.strftime("%Y-%m-%d"),
            "command": " ".join(["python -m xpnet.benchmarks.race", *sys.argv[1:]]),
            "machine": facts(),
            "overrides_removed_for_the_workers": True,
            "results": results,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
