"""The machine code of a program: a loaded library, and tables of calls into it."""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from weakref import ref

from xpnet.backend import Array
from xpnet.compiler.c.barriers import barrier_groups
from xpnet.compiler.c.build import Build, BuildError
from xpnet.compiler.c.call_table import CallTable, NativeCall
from xpnet.compiler.c.partial_sums import joined
from xpnet.compiler.primitives import Call
from xpnet.compiler.row_partition import RowPartition

RUN = [ctypes.c_void_p, *[ctypes.c_int64] * 4]
STEPS = [ctypes.c_void_p, *[ctypes.c_int64] * 4]
EPOCHS = [*[ctypes.c_void_p, ctypes.c_int64] * 2, *[ctypes.c_int64] * 4]


@cache
def runtime() -> str:
    """The text at the start of every library."""
    return Path(__file__).with_name("runtime.c").read_text()


class NotCompiledError(Exception):
    """The library does not exist yet.

    Attributes:
        build: makes it.
    """

    def __init__(self, build: Build) -> None:
        super().__init__("the program's library has not been compiled yet")
        self.build = build


class Library:
    """A loaded library: its own functions, and those of the runtime.

    Raises:
        BuildError: its arithmetic is not exact.
    """

    def __init__(self, loaded: Any) -> None:
        if not loaded.xpnet_exact():
            raise BuildError("the compiler does not keep to IEEE 754; see its options")
        self.loaded = loaded
        self.run, self.steps = loaded.xpnet_run, loaded.xpnet_steps
        self.epochs = loaded.xpnet_epochs
        self.run.argtypes, self.run.restype = RUN, None
        self.steps.argtypes, self.steps.restype = STEPS, ctypes.c_int64
        self.epochs.argtypes, self.epochs.restype = EPOCHS, ctypes.c_int64

    def address(self, name: str) -> int:
        """The address of the function `name`."""
        return ctypes.cast(getattr(self.loaded, name), ctypes.c_void_p).value or 0


class Row(list[Call]):
    """The calls of a segment, which may be referred to weakly."""


@dataclass
class Native:
    """The machine code of a program.

    Attributes:
        library: with the program's loops.
        ops: of each segment that is calls of C from end to end.
        n_networks: along the first axis; None for one alone.
        splits: whether some networks can be computed without the others.
        partition: how its calls are divided among threads.
        tables: of its calls, to be pointed at other arrays.
        held: memory that they need, besides that of the program.
    """

    library: Library
    ops: dict[str, list[NativeCall]]
    n_networks: int | None
    splits: bool
    partition: RowPartition
    tables: list[CallTable] = field(repr=False)
    held: list[Array] = field(default_factory=list, repr=False)
    _update: CallTable | None = field(default=None, init=False, repr=False)

    def rebind(self, operands: list[tuple[NativeCall, int]], array: Array) -> None:
        """Bind operands, (call, place), to `array`, laid out as the one before."""
        for op, at in operands:
            op.point(at, array)
            for table in self.tables:
                table.point(op)

    def linked_late(self, ops: list[NativeCall], row: "Row", at: int) -> Call:
        """Call `at` of `row`: it runs the ops, and links them at its first run.

        `fit` does not run it: its tables hold whole steps.
        """
        known: list[Call] = []
        found = ref(row)  # a row that held itself would outlive its program

        def run() -> None:
            if not known:
                table = self.link(ops)
                self.tables.append(table)
                place = (table.address, table.count, 0, self.n_networks or 1, 0)
                known.append((self.library.run, place))
                calls = found()
                assert calls is not None
                calls[at] = known[0]
            function, arguments = known[0]
            function(*arguments)

        return run, ()

    @property
    def update(self) -> CallTable:
        """The table of the segment "update", which reads no batch: linked once."""
        if self._update is None:
            self._update = self.link(self.ops["update"])
            self.tables.append(self._update)
        return self._update

    def link(self, ops: Iterable[NativeCall]) -> CallTable:
        """A table of calls with the addresses of their functions."""
        groups = [[op] for op in ops]
        if self.partition.threads > 1:
            groups = barrier_groups(joined(list(chain(*groups)), self.partition))
        for op in chain(*groups):
            if op.code is None:
                op.code = self.library.address(op.function), 0
        return CallTable(groups)
