"""Rollback state for steps that diverge."""

from collections.abc import Iterable
from typing import Any

from xpnet.backend import Array, Backend


class Rollback:
    """A copy of what steps change, to be restored when one of them goes wrong.

    On the CPU each step is looked at before its update: only running statistics have
    moved by then, and they are kept every step. A GPU is asked once an epoch, so there
    everything is kept, once an epoch.

    Args:
        backend: where the arrays are.
        statistics: (n,), or (k, n) of k networks.
        others: what else a training changes, (...) or (k, ...).

    Attributes:
        each_step: whether it is kept every step.
        pairs: [(what is kept, its copy)].
    """

    def __init__(
        self, backend: Backend, statistics: Array, others: Iterable[Array]
    ) -> None:
        self.each_step = backend.is_host
        kept = [statistics, *([] if self.each_step else others)]
        with backend.active():
            pairs = [(array, array.copy()) for array in kept if array.size]
        self.pairs: list[tuple[Array, Array]] = pairs

    def keep(self) -> None:
        """Copy everything as it is now."""
        for array, copy in self.pairs:
            copy[...] = array

    def restore(self, rows: Any = ...) -> None:
        """Make everything as it was when it was kept, or these networks alone."""
        for array, copy in self.pairs:
            array[rows] = copy[rows]

    @property
    def nbytes(self) -> int:
        """Bytes of the copies."""
        return sum([int(copy.nbytes) for _, copy in self.pairs])
