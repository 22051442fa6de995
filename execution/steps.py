"""Steps over batches of one size, for one network or k: in C, or call by call.

    step i:  numbers ← table[i];  gather;  gradients;  losses[i] ← loss
             update, where all of these are finite

On a device nothing is looked at meanwhile: losses are read when the epoch has ended.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.backend.blas import one_thread
from xpnet.compiler import Program
from xpnet.compiler.c.call_table import NativeCall
from xpnet.execution import c_steps
from xpnet.execution.network_blocks import in_cache
from xpnet.execution.step import TrainingStep

NOTHING = np.zeros(0)


class GatherSpec(NamedTuple):
    """Which samples a batch takes: out = source[index of the step].

    Attributes:
        source: (samples, ...).
        out: (batch, ...), or (k, batch, ...).
        index: (steps, batch), or (lists, steps, batch).
        which: the list of each network, (k,); None for one network alone.
    """

    source: Array
    out: Array
    index: Array
    which: Array | None = None


class StepBlock:
    """Steps over batches of one size.

    Args:
        step: a recorded one, of one network or k.
        gathers: the samples of the steps, as C fetches them.
        fetch: fetches those of step i by calls; None where all steps will be in C.
        table: the numbers of the steps, (steps, names) or (steps, k, names).
        losses: where they are kept, (steps,) or (steps, k).
        kept: (array, copy) of what steps change before they are looked at.
        held: bytes of a network's parameters and of all that its update keeps.
        row: the number of the first network.

    Attributes:
        gradients: flat, (n,) or (k, n).
        rows: the numbers of its networks.
        reached: where `run` is, call by call.
    """

    def __init__(
        self,
        step: TrainingStep,
        gathers: Sequence[GatherSpec],
        fetch: Callable[[int], object] | None,
        table: Array,
        losses: Array,
        kept: Sequence[tuple[Array, Array]],
        held: int = 0,
        row: int = 0,
    ) -> None:
        assert step.model.buffers is not None
        self.step, self._gathers, self._fetch = step, gathers, fetch
        self._table, self._losses, self._kept = table, losses, kept
        self.gradients, self._held = step.model.buffers.grads, held
        self.rows = range(row, row + step.loss.size)
        self._linked: tuple[Program | None, c_steps.Steps | None] = None, None
        self._takes: list[NativeCall] = []
        self.reached = 0

    @property
    def in_c(self) -> c_steps.Steps | None:
        """The steps in C; None where they are not calls of C from end to end."""
        program = self.step.program
        if self._linked[0] is not program:
            self.step.unbind()  # the tables shall read the batch's own memory
            self._linked = program, self._in_c()
        return self._linked[1]

    def _in_c(self) -> c_steps.Steps | None:
        program, step = self.step.program, self.step
        native = None if program is None else program.native
        if not step.backend.is_host or not c_steps.possible(native):
            return None
        stacked = native.n_networks is not None
        takes = [
            c_steps.take(
                one.source,
                one.index[..., 0, :],
                one.out,
                one.which,
                one.index.strides[-2],
                native.partition,
            )
            for one in self._gathers
        ]
        if None in takes:
            return None  # not copies of whole rows
        self._takes = [op for op in takes if op is not None]
        table, numbers = self._table, step.rule.numbers
        first = [
            *(c_steps.copy(a, b, stacked, (0, 0)) for a, b in self._kept),
            *self._takes,
            c_steps.copy(table[0], numbers, stacked, (table.strides[0], 0)),
        ]
        places = (self.gradients, step.loss, self._losses, self.rows.start)
        return c_steps.Steps(native, first, *places)

    @property
    def splits(self) -> bool:
        """Whether any networks can take steps without the others."""
        steps = self.in_c
        return steps is not None and (steps.native.splits or len(self.rows) == 1)

    @property
    def most(self) -> int:
        """Networks that are to take steps at a time, at most."""
        count, program = len(self.rows), self.step.program
        if program is None or not self.splits:
            return count
        return in_cache(program, self.step.batch, self._held, count)

    def read(
        self, sources: Sequence[Array], fetch: Callable[[int], object] | None
    ) -> None:
        """Gather from these arrays, of the rows' shape and dtype of those before."""
        self._fetch = fetch
        of = zip(self._gathers, sources, strict=True)
        self._gathers = [GatherSpec(source, *one[1:]) for one, source in of]
        steps = self._linked[1]
        for op, source in zip(self._takes, sources, strict=False):
            if steps is not None:
                steps.read(op, source)

    def let_go(self) -> None:
        """Hold the samples no longer: `read` comes before the next run."""
        self.read([NOTHING] * len(self._gathers), None)

    def run(self, start: int, stop: int, first: int = 0, networks: int = 1) -> int:
        """Take steps start .. stop - 1 of networks first, first + 1, ..., in C, or of
        all call by call; `stop`, or the first step whose numbers are not finite, which
        has not had its update.
        """
        steps = self.in_c
        if steps is None:
            return self._call(start, stop)
        return steps.run(start, stop, first, networks)

    def _call(self, start: int, stop: int) -> int:
        step, program, fetch = self.step, self.step.program, self._fetch
        assert fetch is not None
        table, copy, numbers = self._table, np.copyto, step.rule.numbers
        losses = self._losses
        if not step.backend.is_host:
            for i in range(start, stop):
                fetch(i)
                numbers[...] = table[i]
                step.run_whole()
                losses[i] = step.loss.reshape(-1)
            return stop
        assert program is not None
        parts, gradients = program.segments, self.gradients
        calls = [(copy, (kept, array)) for array, kept in self._kept]
        calls += [*parts["gradients"], *parts["loss"]]
        update, loss = parts["update"], step.loss.reshape(-1)
        total = loss.item if len(loss) == 1 else loss.sum
        rows = losses.reshape((len(losses), -1))
        with one_thread(program.partition.threads > 1):
            for i in range(start, stop):
                fetch(i)
                copy(numbers, table[i])
                for function, arguments in calls:
                    function(*arguments)
                rows[i] = loss
                if not (isfinite(total()) and all_finite(gradients)):
                    return i
                for function, arguments in update:
                    function(*arguments)
                self.reached = i + 1
        return stop

    def update(self, i: int, first: int, networks: int) -> None:
        """The update of step i, which was stopped before it."""
        steps = self.in_c
        if steps is None:
            self.step.run("update")
        else:
            steps.update(i, first, networks)
