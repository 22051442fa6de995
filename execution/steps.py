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


class Gather(NamedTuple):
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
        fetch: fetches those of step i, as calls.
        table: the numbers of the steps, (steps, names) or (steps, k, names).
        losses: where they are kept, (steps,) or (steps, k).
        kept: (array, copy) of what steps change before they are looked at.
        held: bytes of a network's parameters and of all that its update keeps.

    Attributes:
        reached: the step before which `call` is.
    """

    def __init__(
        self,
        step: TrainingStep,
        gathers: Sequence[Gather],
        fetch: Callable[[int], object],
        table: Array,
        losses: Array,
        kept: Sequence[tuple[Array, Array]],
        held: int = 0,
    ) -> None:
        assert step.model.buffers is not None
        self.step, self._gathers, self._fetch = step, gathers, fetch
        self._table, self._losses, self._kept = table, losses, kept
        self._grads, self._held = step.model.buffers.grads, held
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
        stacked = native.members is not None
        takes = [
            c_steps.take(
                one.source,
                one.index[..., 0, :],
                one.out,
                one.which,
                one.index.strides[-2],
                native.crew,
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
        return c_steps.Steps(native, first, step.loss, self._losses, self._grads)

    @property
    def most(self) -> int:
        """Networks whose memory a core's caches hold, all where they do not split."""
        count, in_c, program = len(self._grads), self.in_c, self.step.program
        if in_c is None or program is None or not in_c.native.splits:
            return count
        return in_cache(program, self.step.batch, self._held, count)

    def read(self, sources: Sequence[Array]) -> None:
        """Gather from these arrays, of the rows' shape and dtype of those before."""
        steps = self._linked[1]
        for op, source in zip(self._takes, sources, strict=bool(steps)):
            if steps is not None:
                steps.read(op, source)

    def run(self, start: int, stop: int) -> int:
        """Take steps start .. stop - 1; `stop`, or the first whose numbers are not
        finite, which has not had its update.
        """
        steps = self.in_c
        if steps is None:
            return self.call(start, stop)
        self.reached = steps.run(start, stop, 0, 1)
        return self.reached

    def call(self, start: int, stop: int) -> int:
        """Likewise call by call, for all networks."""
        step, program, self.reached = self.step, self.step.program, start
        fetch, table, copy = self._fetch, self._table, np.copyto
        numbers, losses = step.rule.numbers, self._losses
        if not step.backend.is_host:
            for i in range(start, stop):
                fetch(i)
                numbers[...] = table[i]
                step.run_whole()
                losses[i] = step.loss.reshape(-1)
            return stop
        assert program is not None
        parts, gradients = program.segments, self._grads
        calls = [(copy, (kept, array)) for array, kept in self._kept]
        calls += [*parts["gradients"], *parts["loss"]]
        update, loss = parts["update"], step.loss.reshape(-1)
        total = loss.item if len(loss) == 1 else loss.sum
        rows = losses.reshape((len(losses), -1))
        with one_thread(program.crew.threads > 1):
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

    def update(self, i: int, first: int = 0, networks: int = 1) -> None:
        """The update of step i, which was stopped before it."""
        steps = self.in_c
        if steps is None:
            self.step.run("update")
        else:
            steps.update(i, first, networks)
