"""Ways to run a training: a device, a dtype, threads, recorded or not."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from xpnet.backend import Backend


@dataclass(frozen=True)
class ThreadLimitedBackend(Backend):
    """The CPU with a number of threads of its own, for BLAS and for compiled loops."""

    limit: int = 1

    @property
    def threads(self) -> int:
        """Threads that a compiled loop may use."""
        return self.limit


@cache
def _blas() -> Any:
    """The libraries whose threads are set; finding them takes longer than a step."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def limited(backend: Backend, threads: int) -> ThreadLimitedBackend:
    """`backend`, a CPU, with this many threads.

    Raises:
        ValueError: a BLAS that does not take the number.
    """
    with _blas().limit(limits=threads):
        found = {int(pool["num_threads"]) for pool in _blas().info()}
    if found != {threads}:
        what = f"runs with {max(found)}" if found else "does not let them be set"
        raise ValueError(f"{threads} threads: this NumPy's BLAS {what}")
    return ThreadLimitedBackend(backend.name, backend.device, backend.xp, limit=threads)


@dataclass(frozen=True)
class ExecutionMode:
    """One way to run a training: where, and how; see `Trainer` for the arguments."""

    label: str
    backend: Backend
    dtype: str = "float32"
    eager: bool = False
    jit: bool | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """A context in which its device is current and its threads are set."""
        own = isinstance(self.backend, ThreadLimitedBackend)
        limits = _blas().limit(limits=self.backend.threads) if own else nullcontext()
        with limits, self.backend.active(), np.errstate(all="ignore"):
            yield
