"""The evaluation of one network or of many in C.

    for each part of the samples: gather, outputs and losses, keep both

As in `network_blocks.py`, some networks of a stack go through all parts before the next
few begin, and threads take turns at them.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import c as native
from xpnet.compiler.c.call_table import CallTable
from xpnet.execution import c_steps
from xpnet.execution.network_blocks import block_by_block, in_cache
from xpnet.execution.step import EvaluationStep


@dataclass(eq=False)
class Stage:
    """Parts of equal size.

    Attributes:
        step: that evaluates one.
        start: the first sample, as the networks count theirs.
        count: how many parts.
    """

    step: EvaluationStep
    start: int
    count: int


class EvaluationBlocks:
    """The stages of an evaluation as tables for C.

    Args:
        stages: one behind the other.
        samples: what is gathered: x, y, and of one network alone its weights.
        rows: the numbers of each network's samples, (k, samples).
        w: in a stack their weights, likewise, or None.
        outputs: where they are kept, (k, samples, n).
        totals: Σ w l of each part, (parts, k).
        held: bytes of a network's parameters.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        samples: Sequence[Array],
        rows: Array,
        w: Array | None,
        outputs: Array,
        totals: Array,
        held: int,
    ) -> None:
        self._samples, self._rows, self._w = samples, rows, w
        self._outputs, self._totals = outputs, totals
        self._count, self._which = len(rows), np.arange(len(rows))
        self._programs = [stage.step.program for stage in stages]
        self._tables: list[tuple[native.Native, CallTable, int]] = []
        most, part = self._count, 0
        for stage, program in zip(stages, self._programs, strict=True):
            code = None if program is None else program.native
            table = None if code is None else self._linked(stage, code, part)
            if program is None or code is None or table is None:
                self._tables = []
                return
            self._tables.append((code, table, stage.count))
            part += stage.count
            most = min(most, in_cache(program, stage.step.batch, held, self._count))
        self._splits = all(code.splits for code, _, _ in self._tables)
        self._most = most if self._splits else self._count

    @property
    def possible(self) -> bool:
        """Whether all of it is calls of C."""
        return bool(self._tables)

    def fits(self, stages: Sequence[Stage]) -> bool:
        """Whether the stages still have the programs that these tables are made of."""
        programs = zip(self._programs, stages, strict=True)
        return all(program is stage.step.program for program, stage in programs)

    def _linked(self, stage: Stage, code: native.Native, part: int) -> CallTable | None:
        if "evaluate" not in code.ops:
            return None
        step, batch, stacked = stage.step, stage.step.batch, code.n_networks is not None
        part_of = slice(stage.start, stage.start + batch.samples)
        rows, out = self._rows[:, part_of], self._outputs[:, part_of]
        own = rows[0].nbytes, out[0].nbytes  # of a network
        which = self._which if stacked else None
        if not stacked:
            rows, out = rows[0], out[0]
        targets = batch.x, batch.y_rows, batch.w_rows
        takes = [
            c_steps.take(source, rows, target, which, own[0])
            for source, target in zip(self._samples, targets, strict=False)
        ]
        if None in takes:
            return None
        if self._w is not None:
            w = self._w[:, part_of]
            takes.append(c_steps.copy(w, batch.w_rows, True, (w[0].nbytes, 0)))
        total = self._totals[part]
        kept = [
            c_steps.copy(step.output, out, stacked, (0, own[1])),
            c_steps.copy(step.total, total, stacked, (0, total.nbytes)),
        ]
        first = [op for op in takes if op is not None]
        return code.link([*first, *code.ops["evaluate"], *kept])

    def run(self, networks: Sequence[int], pool: Executor | None, threads: int) -> None:
        """Fill outputs and totals of these networks.

        Args:
            networks, pool, threads: see `take_turns`.
        """

        def take(first: int, count: int) -> None:
            for code, table, parts in self._tables:
                for part in range(parts):
                    code.library.run(table.address, table.count, first, count, part)

        networks = networks if self._splits else range(self._count)
        block_by_block(take, networks, self._most, pool, threads)
