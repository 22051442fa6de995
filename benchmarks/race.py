"""A race: every rival on every case, in interleaved rounds.

In each round every rival runs alone for a moment, one after the other, so that what
slows the machine slows all of them. A rival's figure is the median of its rounds;
ratios are medians of the rounds' ratios. Before a rival is timed, it must reach the
loss of hand-written NumPy after 20 steps from the same weights, to 1e-4; then it warms
up for as long as all others.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.process import NoAnswerError, Process
from xpnet.benchmarks.record import Timing
from xpnet.benchmarks.step import CHECKED_STEPS
from xpnet.benchmarks.tables import add_summaries, explain, race_table

AGREE = 1e-4
Rows = dict[str, Answer]


class Rivals:
    """A process per rival; after a failure it is started again for the next case.

    Args:
        starts: rival -> what starts its process.
        end: time limit, on `time.monotonic()`.
        patience: time limit of an answer, in seconds.
    """

    def __init__(
        self,
        starts: Mapping[str, Callable[[], Process]],
        end: float = math.inf,
        patience: float = math.inf,
    ) -> None:
        self.starts, self.end, self.patience = starts, end, patience
        self.processes: dict[str, Process] = {}
        self.greetings: Rows = {}

    def race(
        self,
        case: Case,
        how: Timing,
        reference: Callable[[Case], float] | None = None,
    ) -> Rows:
        """The rivals' rows for one case.

        A row holds what the rival answered when it was prepared and warmed up, and
        "rounds", its timed answers. A rival that did not get as far has one of
        "missing", "failed" and "differs", with the reason.

        Args:
            case: the network and its batch.
            how: the time for warming up and for the rounds.
            reference: the loss after the checked steps; the rivals are then prepared
                at the same time. None: the loss of the rival "numpy", and the rivals
                are prepared one after the other.
        """
        rows: Rows = {name: {} for name in self.starts}
        if self.end <= time.monotonic():
            return rows
        self._start(rows)
        request = {"prepare": case.to_dict()}
        chosen, loss = running(rows), None
        if reference is not None:
            for name in chosen:
                self.processes[name].send(request)
            loss = reference(case)
        for name in chosen:
            if reference is None:
                self.processes[name].send(request)
            rows[name] |= self._receive(name)
        if reference is None:
            loss = rows.get("numpy", {}).get("loss20")
        check_losses(rows, loss)
        for name in running(rows):
            self.processes[name].send({"warm": how.warm_up})
            rows[name] |= self._receive(name) | {"rounds": []}
        for _ in range(how.rounds):
            for name in running(rows):
                self.processes[name].send({"time": how.seconds})
                answer = self._receive(name)
                if "failed" in answer:
                    rows[name] |= answer
                else:
                    rows[name]["rounds"].append(answer)
        return rows

    def close(self) -> None:
        """End the processes."""
        for process in self.processes.values():
            process.close()
        self.processes = {}

    def _start(self, rows: Rows) -> None:
        """Start the missing processes, all at once."""
        fresh = [name for name in self.starts if name not in self.processes]
        for name in fresh:
            self.processes[name] = self.starts[name]()
        for name in fresh:
            self.greetings[name] = self._receive(name)
        for name, row in rows.items():
            row |= self.greetings[name]

    def _receive(self, name: str) -> Answer:
        """The answer of a rival; after a failure its process is closed."""
        process = self.processes[name]
        try:
            answer = process.receive(min(self.patience, self.end - time.monotonic()))
        except NoAnswerError as error:
            answer = {"failed": str(error)}
        if "failed" in answer:
            process.close()
            del self.processes[name]
        return answer


def running(rows: Rows) -> list[str]:
    """The rivals that have no reason to be left out."""
    reasons = {"missing", "failed", "differs"}
    return [name for name, row in rows.items() if not reasons & row.keys()]


def check_losses(rows: Rows, expected: float | None) -> None:
    """Mark a rival as different if its loss is not the expected one."""
    if expected is None:
        return
    for row in rows.values():
        loss = row.get("loss20")
        if loss is not None and not abs(loss - expected) <= AGREE * max(1.0, expected):
            row["differs"] = (
                f"loss {loss:.6f} after {CHECKED_STEPS} steps, not {expected:.6f}"
            )


def race(
    names: Sequence[str],
    chosen: list[Case],
    threads: int,
    how: Timing,
    show: Callable[[Answer], None] | None = None,
) -> list[Answer]:
    """A result per case: {"net", "optimizer", "threads", "rivals": {name: row}}."""
    starts = {
        name: partial(Process, ["step", name, str(threads)], threads) for name in names
    }
    results = []
    with closing(Rivals(starts)) as rivals:
        for case in chosen:
            rows = summarised(rivals.race(case, how))
            head = {**case.to_dict(), "net": case.net, "threads": threads}
            results.append({**head, "timing": how.to_dict(), "rivals": rows})
            if show:
                show(results[-1])
    return results


def summarised(rows: Rows) -> Rows:
    """The rows as a record holds them: notes, rounds, medians and ratios."""
    for row in rows.values():
        rounds = row.pop("rounds", [])
        if "differs" in row:
            row["failed"] = row.pop("differs")
        if explain(row, row):
            for key in ("missing", "failed"):
                row.pop(key, None)
        else:
            row["rounds_us"] = [answer["us"] for answer in rounds]
    add_summaries(rows, "us")
    return rows


def print_result(result: Answer) -> None:
    """Print the table of one case."""
    print(f"\n{race_table(result).text()}", flush=True)


WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 4, 16, 64, 256, 1024, 2048)
SWEPT = ("xpnet", "products", "numpy", "torch")
SHORT = Timing(2.5, 3, 0.1)


def points(axis: str, optimizer: str) -> list[Case]:
    """784-w-10 at batch 128 for the axis "width", 784-128-10 for "batch"."""
    if axis == "width":
        return [Case((784, width, 10), 128, optimizer) for width in WIDTHS]
    return [Case((784, 128, 10), batch, optimizer) for batch in BATCHES]


def sweep(
    names: tuple[str, ...],
    optimizer: str,
    threads: int,
    how: Timing,
    show: Callable[[Answer], None] | None = None,
) -> list[Answer]:
    """The race's results for every point, with "axis" and "value"."""
    results = []
    for axis in ("width", "batch"):
        for result in race(names, points(axis, optimizer), threads, how, show):
            value = result["sizes"][1] if axis == "width" else result["batch"]
            results.append({"axis": axis, "value": value, **result})
    return results
