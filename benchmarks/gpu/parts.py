"""The parts of a check that have a process each: what they find out, and how long."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS
from xpnet.benchmarks.gpu import costs, parity, steps
from xpnet.benchmarks.gpu.clock import clock_of
from xpnet.benchmarks.gpu.verdicts import Check

QUICK_NETS = 3  # of the five
QUICK_REPLAYS = 100


@dataclass(frozen=True)
class Part:
    """Checks over one thing.

    Attributes:
        title: what the reader sees.
        judged: whether the exit status depends on it.
        seconds: of ten minutes.
        checks: of a backend; the second argument asks for the quick ones.
    """

    title: str
    judged: bool
    seconds: float
    checks: Callable[[Backend, bool], list[Check]]


def _without_driver(backend: Backend) -> Backend:
    return replace(backend, driver=None)


def _with_driver(backend: Backend, quick: bool) -> list[Check]:
    if backend.driver is None:
        raise RuntimeError(f"{backend.device} has no driver, so no kernels of ours")
    return parity.checks(backend, quick=quick)


def _device(backend: Backend) -> costs.Device:
    return costs.Device(backend, clock_of(backend))


PARTS: dict[str, Part] = {
    "kernels": Part("own kernels against NumPy", True, 90, _with_driver),
    "calls": Part(
        "recorded CuPy calls against NumPy",
        True,
        60,
        lambda b, quick: parity.checks(_without_driver(b), quick=quick),
    ),
    "eager": Part(
        "CuPy run eagerly against NumPy",
        True,
        40,
        lambda b, quick: parity.checks(_without_driver(b), True, quick),
    ),
    "graphs": Part(
        "graphs against the same calls, to the bit", True, 40, steps.graph_checks
    ),
    "replays": Part(
        "replays amid other work, to the bit",
        True,
        40,
        lambda b, quick: steps.replay_checks(
            b, QUICK_REPLAYS if quick else steps.REPLAYS
        ),
    ),
    "lockstep": Part(
        "NumPy and the device in lock-step",
        True,
        40,
        lambda b, quick: steps.lockstep_checks(b, 20 if quick else steps.LOCKSTEPS),
    ),
    "launches": Part(
        "launches", False, 15, lambda b, quick: costs.launch_checks(_device(b))
    ),
    "copies": Part(
        "copies",
        False,
        15,
        lambda b, quick: costs.copy_checks(_device(b), 1 << 26 if quick else 1 << 30),
    ),
    "products": Part(
        "matrix products",
        True,
        45,
        lambda b, quick: costs.product_checks(
            _device(b), QUICK_NETS if quick else len(NETS)
        ),
    ),
}
