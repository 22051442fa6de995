"""An epoch on a GPU without the host: steps replayed as CUDA graphs.

What a step needs from the host is brought once an epoch: the order of the samples, and
a table with the numbers of every step (learning rate, bias corrections). A counter on
the device says which step it is. So one recorded step is

    gather rows order[step · batch ...]  →  gradients  →  loss  →  update
    →  losses[step] ← loss, step ← step + 1, scalars ← table[step]

and several of them are one graph, whose launch costs the host a few microseconds. The
short last batch is a graph of its own. The losses are read when the epoch has ended.

The calls are those of the recorded step, on the same buffers, in the same order: so are
the results, to the bit.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import Call, tuning
from xpnet.compiler.drivers import driver_of
from xpnet.execution.batch import Batch
from xpnet.execution.step import TrainingStep, warn_of_refusal

if TYPE_CHECKING:
    from xpnet.compiler.cuda.driver import Driver, Module

SUFFIX = {"float32": "f32", "float64": "f64", "int32": "i32"}
Pairs = Sequence[tuple[Array, Array]]


class GraphEpoch:
    """The epochs of one `fit`, with all that their steps need on the device.

    Args:
        steps: for full batches, and for the short one behind them if there is one; on a
            device with a driver.
        pairs: of each, [(all samples, where a batch goes)].
        order: (count,), the numbers of the samples in the order of the epoch.
        losses: (steps,), where the losses of an epoch are left.
        together: steps a graph.
    """

    def __init__(
        self,
        steps: Sequence[TrainingStep],
        pairs: Sequence[Pairs],
        order: Array,
        losses: Array,
        together: int,
    ) -> None:
        from xpnet.compiler.cuda.graph import Repeated

        backend, self._rule = steps[0].backend, steps[0].rule
        self._order, self._losses = order, losses
        driver = driver_of(backend)
        assert driver is not None
        self._driver: Driver = driver
        self._full, self._steps = len(losses) - len(steps) + 1, len(losses)
        numbers = self._rule.numbers
        self._table = backend.zeros((self._steps, numbers.size), numbers.dtype)
        self._step = backend.zeros((1,), np.int32)
        start, self._parts = 0, list[tuple[TrainingStep, Repeated]]()
        for step, own in zip(steps, pairs, strict=True):
            calls = self._calls(step, own, start)
            self._parts.append((step, Repeated(calls, backend, together, self._refuse)))
            start = self._full * step.batch.samples

    def start_epoch(self, rates: list[float], first: int, begun: int = 0) -> None:
        """Bring what an epoch needs, when `order` holds the order of its samples.

        Args:
            rates: of its steps.
            first: the number of its first step, from 1.
            begun: steps of the epoch that are done already.
        """
        step = self._parts[0][0]
        step.backend.upload(self._table, self._rule.table(rates, first))
        self.skip_to(begun)

    def skip_to(self, i: int) -> None:
        """Go on with step `i` of the epoch, the host having taken the one before."""
        self._step[...] = i
        launch, arguments = self._first
        launch(*arguments)
        self._rule.forget()

    def run(self, start: int, stop: int) -> tuple[TrainingStep, int]:
        """Queue step `start` of the epoch, and others before `stop` in one go.

        Returns:
            What has taken them, and the step that comes next.
        """
        step, repeated = self._parts[start >= self._full]
        return step, start + repeated.run(max(min(stop, self._full) - start, 1))

    @property
    def batch(self) -> Batch:
        """Of a full step."""
        return self._parts[0][0].batch

    @property
    def nodes(self) -> int:
        """Calls of a full step, the nodes of its graph."""
        return len(self._parts[0][1].calls)

    # One step.

    def _calls(self, step: TrainingStep, pairs: Pairs, start: int) -> list[Call]:
        """Of a step for batches of which the first begins at `start`."""
        from xpnet.compiler.cuda.module import handwritten

        program = step.program
        assert program is not None
        segments = program.segments
        # The kernels of the program are one module with these.
        module = self._driver.load(program.source or handwritten())
        numbers = self._rule.numbers
        count, steps = np.int32(numbers.size), np.int32(self._steps)
        kind = SUFFIX[numbers.dtype.name]
        first = (self._table, self._step, numbers, count, steps)
        self._first = self._launch(module, f"load_scalars_{kind}", int(count), first)
        tables = (self._losses, self._table, numbers, self._step)
        end = (step.loss, *tables, count, steps)
        return [
            *self._gathers(module, step, pairs, start),
            *segments["gradients"],
            *segments["loss"],
            *segments["update"],
            self._launch(module, f"end_step_{kind}", 1, end),
        ]

    def _gathers(
        self, module: "Module", step: TrainingStep, pairs: Pairs, start: int
    ) -> list[Call]:
        """x, y and weights of a batch into its buffers."""
        if self._steps == 1:  # the batch is all samples, and stays where it is
            return []
        # Rows are counted modulo their number: the short last batch, whatever step it
        # is, begins with its own first row.
        order, size = self._order[start:], np.int32(step.batch.samples)
        rows = size if start else np.int32(len(self._order))
        calls = []
        for source, target in pairs:
            kinds = (SUFFIX[source.dtype.name], SUFFIX[target.dtype.name])
            name = "gather_i32" if kinds[0] == "i32" else "gather_{}_{}".format(*kinds)
            width = np.int32(target.size // step.batch.samples)
            arguments = (source, order, self._step, target, rows, width, size)
            calls.append(self._launch(module, name, target.size, arguments))
        return calls

    def _launch(
        self, module: "Module", name: str, threads: int, arguments: tuple[Any, ...]
    ) -> Call:
        width = tuning.FLAT_THREADS
        grid, block = (math.ceil(threads / width), 1, 1), (width, 1, 1)
        function = module.function(name)
        return self._driver.launch, (function, grid, block, arguments)

    def _refuse(self, reason: str) -> None:
        for _, repeated in self._parts:
            repeated.captures = False
        warn_of_refusal(reason)
