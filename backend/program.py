"""A recorded program: named segments of bound calls, and the buffers they run on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xpnet.backend.trace import Array

Call = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass
class Reader:
    """A call that reads the input: where it stands, and how it is made anew."""

    segment: str
    index: int
    call: Callable[[Array], Call]


@dataclass
class Program:
    """What a tape became: `run(segment)` replays that part of it.

    Nothing is allocated, dispatched or synchronised in a replay: every call has its
    arguments and its output buffer bound already.

    Attributes:
        segments: for each segment, its calls `(function, arguments)` in order.
        outputs: the arrays that hold the results after a replay, by name.
        nbytes: bytes of the buffers that the program owns (not the leaves).
        readers: the calls that read the input leaf, where they are products only and
            another array can take its place; None where they are not.
        source: the CUDA C text of the kernels; empty without a driver.
    """

    segments: dict[str, list[Call]]
    outputs: dict[str, Array]
    nbytes: int
    owned: list[Array] = field(repr=False)
    readers: list[Reader] | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    def rebind(self, array: Array) -> None:
        """Let the program read `array` in the place of its input leaf.

        Only where `readers` is not None, and for an array of the leaf's shape, dtype
        and layout.
        """
        for reader in self.readers or ():
            self.segments[reader.segment][reader.index] = reader.call(array)

    def run(self, segment: str) -> None:
        """Replay `segment`."""
        for function, arguments in self.segments[segment]:
            function(*arguments)

    def __len__(self) -> int:
        return sum(map(len, self.segments.values()))
