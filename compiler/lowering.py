"""What a lowering is: it turns runs of nodes into the calls of a program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xpnet.backend import Backend
from xpnet.compiler.analysis import Plan
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import RowPartition
from xpnet.trace import Tape, Traced


@dataclass(frozen=True)
class Recording:
    """A recorded step, and what it is compiled for; see `compile_tape`."""

    tape: Tape
    backend: Backend
    outputs: dict[str, Traced]
    segments: tuple[str, ...]
    source: Traced | None
    n_networks: int | None
    partition: RowPartition | None

    @property
    def rows(self) -> int:
        """Samples of a batch of one network; 0 where nothing may be divided by them."""
        if self.source is None or self.n_networks is not None:
            return 0
        return self.source.shape[0]

    def reads_source(self, node: Traced) -> bool:
        """Whether `node` reads the leaf that a batch is read from, or a view of it."""
        return any(isinstance(a, Traced) and a.root is self.source for a in node.args)


@dataclass(frozen=True)
class Reader:
    """A node that reads the source; its first call is call `index` of the segment."""

    segment: str
    index: int
    node: Traced


Calls = dict[str, list[Any]]  # of each segment, in order


class Lowering(Protocol):
    """From runs of nodes to calls: of NumPy or CuPy, of C, or of CUDA kernels.

    The methods are called in this order.
    """

    def load(self, wait: bool) -> Program | None:
        """The program as it was compiled before; None where it was not.

        Raises:
            NotCompiledError, BuildError: see `compile_tape`.
        """

    def plan(self) -> Plan:
        """The order of the nodes, and which of them share a loop or a kernel."""

    def begin(self, plan: Plan, partition: RowPartition) -> None:
        """Take memory from here on: `plan` says how long it is used."""

    def lower(self, run: list[Traced]) -> list[Any]:
        """The calls of one run of the plan."""

    def finish(self, calls: Calls, readers: Sequence[Reader], wait: bool) -> Program:
        """The program of all calls.

        Raises:
            NotCompiledError, BuildError: see `compile_tape`.
        """
