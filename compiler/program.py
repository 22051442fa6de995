"""A recorded program: named segments of bound calls, and the buffers they run on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xpnet.backend import Array
from xpnet.backend.blas import one_thread
from xpnet.compiler.primitives import Call
from xpnet.compiler.row_partition import ALONE, RowPartition

if TYPE_CHECKING:
    from xpnet.compiler.c.native import Native


@dataclass
class Program:
    """The calls of a recorded step: `run(segment)` replays a part of it.

    A replay allocates, dispatches and synchronises nothing: arguments and output
    buffers are bound.

    Attributes:
        segments: for each segment, its calls `(function, arguments)` in order.
        outputs: the arrays that hold the results after a replay, by name.
        nbytes: bytes of the buffers that the program owns (not the leaves).
        readers: functions that give another array to the calls that read the input
            leaf, where these are products only; None where they are not.
        source: the C text of the kernels, or of the loops; empty without either.
        native: what of it is machine code; None where every call is Python's.
        partition: how its calls are divided among threads; BLAS then computes with one.
    """

    segments: dict[str, list[Call]]
    outputs: dict[str, Array]
    nbytes: int
    owned: list[Array] = field(repr=False)
    readers: list[Callable[[Array], None]] | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)
    native: "Native | None" = field(default=None, repr=False)
    partition: RowPartition = ALONE

    def rebind(self, array: Array) -> None:
        """Read `array` in the place of the input leaf from now on.

        Only where `readers` is not None, and for an array of the leaf's shape, dtype
        and layout.
        """
        for take in self.readers or ():
            take(array)

    def run(self, segment: str) -> None:
        """Replay `segment`."""
        if self.partition.threads > 1:
            with one_thread():
                self._run(segment)
        else:
            self._run(segment)

    def _run(self, segment: str) -> None:
        for function, arguments in self.segments[segment]:
            function(*arguments)

    def __len__(self) -> int:
        return sum(map(len, self.segments.values()))
