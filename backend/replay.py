"""When a program's loops are worth compiling."""

import time
import warnings
from collections.abc import Callable

from xpnet.backend.backend import Backend
from xpnet.backend.failures import DeviceError
from xpnet.backend.loops import available
from xpnet.backend.program import Program

WORTH = 1.0  # seconds: about what importing Numba and compiling a program's loops costs
SAMPLE = 64  # at most so many replays for each one that is timed
SPAN = 0.05  # seconds between timed replays, about


class Replay:
    """A recorded program, recompiled with loops once it has run for long enough.

    Compiling at once would make short trainings slower. So a program starts as NumPy
    calls, and when it has run for as long as compiling takes, its loops are compiled:
    at worst that doubles the time of a training, at best it is repaid many times. The
    results are equal to the bit either way.

    Args:
        record: gives the program, with loops or without.
        backend: loops are for the host, kernels for a device with a driver.
        first: the segment that a step begins with; only there may programs change.
        jit: True compiles loops at once, False never, None when it is worth it; kernels
            are compiled at once, unless it is False.

    Raises:
        ImportError: jit=True without Numba.
    """

    def __init__(
        self,
        record: Callable[[bool], Program],
        backend: Backend,
        first: str,
        jit: bool | None,
    ) -> None:
        device = backend.driver is not None
        if jit and not device and not available():
            raise ImportError("jit=True needs Numba: pip install 'xpnet[jit]'")
        self._record, self._first = record, first
        self._waiting = jit is None and backend.is_host and available()
        self._left, self._spent = 1, 0.0
        self.compiled = jit is not False if device else bool(jit) and backend.is_host
        try:
            self.program = record(self.compiled)
        except DeviceError as error:
            if jit:
                raise
            told = f"{error}; CuPy's own kernels go on"
            warnings.warn(told, RuntimeWarning, stacklevel=2)
            self.compiled = False
            self.program = record(False)

    def run(self, segment: str) -> None:
        """Replay `segment`."""
        if self._waiting and segment == self._first:
            self._left -= 1
            if self._left == 0:
                self._consider(segment)
                return
        self.program.run(segment)

    def spend(self, seconds: float) -> None:
        """Count replays that somebody has run from `program` itself."""
        if self._waiting:
            self._spent += seconds
            self._left = 1
            if self._spent > WORTH:
                self._waiting = False
                self._compile()

    def foresee(self, seconds: float) -> None:
        """Compile now if replays to come, of about `seconds`, will repay it."""
        if seconds > WORTH:
            self.spend(seconds)

    def _compile(self) -> None:
        try:
            self.program = self._record(True)
            self.compiled = True
        except Exception as error:  # Numba's own; training goes on as it was
            line = next(iter(str(error).strip().splitlines()), "no reason given")
            warnings.warn(
                f"loops were not compiled ({type(error).__name__}: {line}); the NumPy "
                "calls go on, jit=False keeps this from being tried",
                RuntimeWarning,
                stacklevel=2,
            )

    def _consider(self, segment: str) -> None:
        self.spend(0.0)
        began = time.perf_counter()
        self.program.run(segment)
        took = time.perf_counter() - began
        self._left = max(1, min(SAMPLE, int(SPAN / max(took, 1e-9))))
        self._spent += self._left * took
