"""The parts of a check that have a process each: what they find out, and how long."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from xpnet.backend import Backend
from xpnet.benchmarks.cases import NETS
from xpnet.benchmarks.gpu import cases, costs, parity, steps
from xpnet.benchmarks.gpu.clock import clock_of
from xpnet.benchmarks.gpu.verdicts import Check
from xpnet.compiler.drivers import driver_of

QUICK_NETS = 3  # of the five
QUICK_REPLAYS = 100
UNTIMED = 150.0  # seconds of ten minutes, for all of them side by side


@dataclass(frozen=True)
class Part:
    """Checks over one thing.

    Attributes:
        title: what the reader sees.
        checks: of a backend; the second argument asks for the quick ones.
        seconds: of ten minutes.
        timed: whether it measures time, so that nothing else may run beside it.
        judged: whether the exit status depends on it.
    """

    title: str
    checks: Callable[[Backend, bool], list[Check]]
    seconds: float = UNTIMED
    timed: bool = False
    judged: bool = True


def _without_driver(backend: Backend) -> Backend:
    return replace(backend, driver=False)


def _kernels(what: str, made: Callable[[], list[cases.Case]]) -> Part:
    """Own kernels: their compiling takes long, so that each table is a part."""

    def checks(backend: Backend, quick: bool) -> list[Check]:
        if driver_of(backend) is None:
            raise RuntimeError(f"{backend.device} has no driver, so no kernels of ours")
        return parity.checks(backend, quick=quick, cases=made())

    return Part(f"own kernels against NumPy: {what}", checks)


def _device(backend: Backend) -> costs.Device:
    return costs.Device(backend, clock_of(backend))


PARTS: dict[str, Part] = {
    "kernels-layers": _kernels("layers", cases.layer_cases),
    "kernels-activations": _kernels("activations", cases.activation_cases),
    "kernels-losses": _kernels("losses", cases.loss_cases),
    "kernels-optimizers": _kernels("optimizers", cases.rule_cases),
    "calls": Part(
        "recorded CuPy calls against NumPy",
        lambda b, quick: parity.checks(_without_driver(b), quick=quick),
    ),
    "eager": Part(
        "CuPy run eagerly against NumPy",
        lambda b, quick: parity.checks(_without_driver(b), True, quick),
    ),
    "graphs": Part("graphs against the same calls, to the bit", steps.graph_checks),
    "replays": Part(
        "replays amid other work, to the bit",
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
        lambda b, quick: costs.launch_checks(_device(b)),
        seconds=20.0,
        timed=True,
        judged=False,
    ),
    "copies": Part(
        "copies",
        lambda b, quick: costs.copy_checks(_device(b), 1 << 26 if quick else 1 << 30),
        seconds=20.0,
        timed=True,
        judged=False,
    ),
    "products": Part(
        "matrix products",
        lambda b, quick: costs.product_checks(
            _device(b), QUICK_NETS if quick else len(NETS)
        ),
        seconds=60.0,
        timed=True,
    ),
}
