"""Runs of nodes as loops of C, and as NumPy's own inner loops called from C."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import tuning
from xpnet.compiler.analysis import Plan
from xpnet.compiler.buffers import Arena
from xpnet.compiler.c.cache_key import recorded
from xpnet.compiler.c.call_table import NativeCall
from xpnet.compiler.c.linker import Linker
from xpnet.compiler.c.program_cache import load, store
from xpnet.compiler.c.serialise import plain
from xpnet.compiler.calls import CallLowering
from xpnet.compiler.lowering import Calls, Reader, Recording
from xpnet.compiler.program import Program
from xpnet.compiler.row_partition import RowPartition
from xpnet.trace import Traced


class CLowering(CallLowering):
    """The `Lowering` to C. Where every call is C, the program is kept as plain data."""

    linker: Linker

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._known = recorded(recording)

    def load(self, wait: bool) -> Program | None:
        """The program of the cache."""
        return None if self._known is None else load(self._known, wait)

    def plan(self) -> Plan:
        """The order in which nodes share loops."""
        return Plan(self.recording.tape, list(self.recording.outputs.values()), True)

    def begin(self, plan: Plan, partition: RowPartition) -> None:
        """Take memory."""
        super().begin(plan, partition)
        arena, backend = self.memory.arena, self.backend

        def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
            return arena.take(object(), shape, dtype, fresh=True)

        n_networks = self.recording.n_networks
        self.linker = Linker(n_networks, lambda: backend.threads, partition, room)

    def _arena(self) -> Arena:
        # The rows of a part, or a network of a stack, keep their place in a buffer.
        divided = self.partition.threads > 1
        exact = bool(self.recording.n_networks) or divided
        return Arena(
            self.backend,
            exact,
            self.partition.threads * tuning.PADDING_BYTES if divided else 0,
        )

    def lower(self, run: list[Traced]) -> list[Any]:
        """The run as one loop, or a call each."""
        plan = self.memory.plan
        alone = len(run) == 1 and plan.overlaps(run[0])  # NumPy handles overlap
        if alone or not plan.fit(run):
            return self.each(run)
        if len(run) > 1 and _operands(run) > self.linker.most:
            return [op for node in run for op in self.lower([node])]
        # A later pass over the row reads operands again: none is given up.
        several = any(node.op == "max" for node in run)
        rest, kept = self.memory.results(run, set() if several else set(run))
        ops = [self.linker.loop(rest, self.memory.array, kept)] if rest else []
        self.memory.release(run)
        return ops

    def node(self, node: Traced, operands: list[Any], out: Array) -> list[Any]:
        """Calls of C, or of NumPy where C has none."""
        ops = self.linker.ops(node, operands, out)
        return ops or super().node(node, operands, out)

    def finish(self, calls: Calls, readers: Sequence[Reader], wait: bool) -> Program:
        """The program, kept for the next such tape."""
        linker = self.linker
        if not self.recording.outputs:  # which are read as a whole
            linker.pad(calls, self.memory.arena.owned)
        text = linker.text()
        linked, native = linker.link(calls, wait, text)
        take = None
        reads = [(r.segment, r.index, at) for r in readers for at in self._sources(r)]
        ops = [(calls[name][index], at) for name, index, at in reads]
        if all(isinstance(op, NativeCall) for op, _ in ops) and self.may_rebind():
            take = [partial(native.rebind, ops)]
        source = linker.whole(text)
        program = self.program(linked, readers=take, source=source, native=native)
        if self._known is not None:
            made = plain(self._known, program, calls, text, reads)
            if made is not None:
                store(self._known.key, made)
        return program

    def _sources(self, reader: Reader) -> list[int]:
        """The operands of a reader's call that show the source."""
        source, args = self.recording.source, reader.node.args
        shown = [isinstance(a, Traced) and a.root is source for a in args]
        return [at for at, a in enumerate(shown) if a]


def _operands(run: list[Traced]) -> int:
    """At most so many arrays does a run read and write."""
    inside = set(run)
    read = [a for n in run for a in n.args if a not in inside]
    return len(run) + len(set(read))
