"""A recorded program: named segments of bound calls, and the buffers they run on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xpnet.backend.trace import Array

Call = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass
class Program:
    """What a tape became: `run(segment)` replays that part of it.

    Nothing is allocated, dispatched or synchronised in a replay: every call has its
    arguments and its output buffer bound already.

    Attributes:
        segments: for each segment, its calls `(function, arguments)` in order.
        outputs: the arrays that hold the results after a replay, by name.
        nbytes: bytes of the buffers that the program owns (not the leaves).
    """

    segments: dict[str, list[Call]]
    outputs: dict[str, Array]
    nbytes: int
    owned: list[Array] = field(repr=False)

    def run(self, segment: str) -> None:
        """Replay `segment`."""
        for function, arguments in self.segments[segment]:
            function(*arguments)

    def __len__(self) -> int:
        return sum(map(len, self.segments.values()))
