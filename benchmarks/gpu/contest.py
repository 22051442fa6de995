"""The five nets: the ways of xpnet beside its rivals, each in its own process.

All start from the same weights and must have hand-written NumPy's loss after the
checked steps, to 1e-4, before they are timed in interleaved rounds. Strict float32.
"""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from statistics import median

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.cases import Case
from xpnet.benchmarks.gpu.rivals import RIVALS
from xpnet.benchmarks.gpu.verdicts import DIFFERS, FAILED, MISSING, OK, Figures, Line
from xpnet.benchmarks.process import WORKER, Process
from xpnet.benchmarks.race import Rivals
from xpnet.benchmarks.record import Timing
from xpnet.benchmarks.rivals import numpy_
from xpnet.benchmarks.step import CHECKED_STEPS
from xpnet.common.machine import cores

PATIENCE = 60.0  # seconds to import a framework, or to compile and check a step
TIMING = Timing(0.0, 3, 0.15)
TIMES = ("gpu_us", "enqueue_us", "wall_us")


def expected_loss(case: Case) -> float:
    """Hand-written NumPy's loss after the checked steps."""
    step, loss = numpy_.prepare(case)
    for _ in range(CHECKED_STEPS):
        step()
    return loss()


def contest(
    names: list[str],
    cases: list[Case],
    end: float,
    show: Callable[[list[Line]], None],
    command: tuple[str, ...] = WORKER,
) -> list[Line]:
    """A line per rival and case, in the order of the cases.

    Args:
        names: of `RIVALS`.
        cases: the nets.
        end: time limit, on `time.monotonic()`.
        show: prints the lines of a case.
        command: starts a worker.
    """
    starts = {
        name: partial(Process, ["gpu.serve", "rival", name], cores(), command)
        for name in names
    }
    lines = []
    with closing(Rivals(starts, end, PATIENCE)) as rivals:
        for case in cases:
            rows = rivals.race(case, TIMING, expected_loss)
            found = [line(f"{case.net}: {name}", row) for name, row in rows.items()]
            show(found)
            lines += found
    return lines


def line(name: str, row: Answer) -> Line:
    """A rival's verdict, with the medians of its rounds."""
    figures: Figures = {}
    if "loss20" in row:
        figures = {"loss": row["loss20"], "prepared_s": row["seconds"], **row["facts"]}
    if row.get("versions"):
        figures["versions"] = row["versions"]
    for kind, verdict in (
        ("missing", MISSING), ("failed", FAILED), ("differs", DIFFERS),
    ):  # fmt: skip
        if kind in row:
            return Line(name, verdict, row[kind], figures)
    rounds = row.get("rounds")
    if not rounds:
        return Line(name, FAILED, "no time was left", figures)
    figures |= {key: median(r[key] for r in rounds) for key in TIMES}
    figures["gpu_min_us"] = min(r["gpu_min_us"] for r in rounds)
    figures["gpu_max_us"] = max(r["gpu_max_us"] for r in rounds)
    return Line(name, OK, "", figures)


def ours(name: str) -> bool:
    """Whether a line's name is that of a way of xpnet."""
    return name.partition(": ")[2].startswith("xpnet")


def chosen(quick: bool) -> list[str]:
    """The rivals of a check; a quick one compares the ways of xpnet."""
    return [name for name in RIVALS if not quick or name.startswith("xpnet")]
