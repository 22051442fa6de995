"""The parts of a check; each runs in its own process for a limited time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS
from xpnet.benchmarks.gpu import cases, costs, parity, steps
from xpnet.benchmarks.gpu.verdicts import Check, need_driver

QUICK_NETS = 3  # of the five
QUICK_REPLAYS = 100
UNTIMED = 150.0  # seconds of ten minutes, for all of them at the same time


@dataclass(frozen=True)
class Part:
    """Checks of one kind.

    Attributes:
        title: what the reader sees.
        checks: (backend, whether only the quick ones) -> checks.
        seconds: its share of ten minutes.
        timed: whether it measures time, so that nothing else may run at the same time.
        judged: whether the exit status depends on it.
    """

    title: str
    checks: Callable[[Backend, bool], list[Check]]
    seconds: float = UNTIMED
    timed: bool = False
    judged: bool = True


def _without_driver(backend: Backend) -> Backend:
    return replace(backend, driver=False)


def _kernels(table: str) -> Part:
    """Own kernels on a table of cases; compiling them takes long, so each is a part."""

    def checks(backend: Backend, quick: bool) -> list[Check]:
        need_driver(backend)
        return parity.checks(backend, quick=quick, table=table)

    return Part(f"own kernels against NumPy: {table}", checks)


PARTS: dict[str, Part] = {
    **{f"kernels-{table}": _kernels(table) for table in cases.TABLES},
    "calls": Part(
        "recorded CuPy calls against NumPy",
        lambda b, quick: parity.checks(_without_driver(b), quick=quick),
    ),
    "eager": Part(
        "CuPy run eagerly against NumPy",
        lambda b, quick: parity.checks(_without_driver(b), True, quick),
    ),
    "graphs": Part("graphs against the same calls, bit by bit", steps.graph_checks),
    "replays": Part(
        "replays between other work, bit by bit",
        lambda b, quick: steps.replay_checks(
            b, QUICK_REPLAYS if quick else steps.REPLAYS
        ),
    ),
    "lockstep": Part(
        "NumPy and the device in lock-step",
        lambda b, quick: steps.lockstep_checks(b, 20 if quick else steps.LOCKSTEPS),
    ),
    "launches": Part(
        "launches",
        lambda b, quick: costs.launch_checks(b),
        seconds=20.0,
        timed=True,
        judged=False,
    ),
    "copies": Part(
        "copies",
        lambda b, quick: costs.copy_checks(b, 1 << 26 if quick else 1 << 30),
        seconds=20.0,
        timed=True,
        judged=False,
    ),
    "products": Part(
        "matrix products",
        lambda b, quick: costs.product_checks(b, QUICK_NETS if quick else len(NETS)),
        seconds=60.0,
        timed=True,
    ),
}
