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
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import Array, DeviceError
from xpnet.common.console import warn
from xpnet.compiler import Call
from xpnet.compiler.drivers import driver_of
from xpnet.execution.step import TrainingStep, warn_of_refusal
from xpnet.training.data import Samples
from xpnet.training.state import TrainingState

if TYPE_CHECKING:
    from xpnet.compiler.cuda.driver import Driver, Module
    from xpnet.compiler.cuda.graph import Repeated

STEPS_PER_GRAPH = 8
THREADS = 256  # of a block
SUFFIX = {"float32": "f32", "float64": "f64", "int32": "i32"}


class GraphEpoch:
    """The epochs of one `fit`, with all that their steps need on the device.

    Args:
        state: on a device with a driver.
        samples: the training set, which lies there.
        batch_size: samples a step.
        order: (count,), the numbers of the samples in the order of the epoch.
        losses: (steps,), where the losses of an epoch are left.
    """

    def __init__(
        self,
        state: TrainingState,
        samples: Samples,
        batch_size: int,
        order: Array,
        losses: Array,
    ) -> None:
        self._state, self._samples = state, samples
        self._order, self._losses = order, losses
        backend = state.backend
        driver = driver_of(backend)
        assert driver is not None
        self._driver: Driver = driver
        self._full, rest = divmod(samples.count, batch_size)
        self._steps = len(losses)
        numbers = state.rule.numbers
        self._table = backend.zeros((self._steps, numbers.size), numbers.dtype)
        self._step = backend.zeros((1,), np.int32)
        self._parts = [self._part(batch_size, 0)]
        if rest:
            self._parts.append(self._part(rest, self._full * batch_size))

    def start_epoch(self, begun: int = 0) -> None:
        """Bring what an epoch needs, when `order` holds the order of its samples.

        Args:
            begun: steps of the epoch that are done already.
        """
        state, done = self._state, self._state.steps_done - begun
        rates = [state.rates.at(step) for step in range(done, done + self._steps)]
        state.backend.upload(self._table, state.rule.table(rates, done + 1))
        self.skip_to(begun)
        step = self._parts[0][0]
        if self._whole and step.batch.holds is not self._samples:
            self._samples.gather(self._order, step.batch)
            step.batch.holds = self._samples

    def skip_to(self, i: int) -> None:
        """Go on with step `i` of the epoch, the host having taken the one before."""
        self._step[...] = i
        launch, arguments = self._first
        launch(*arguments)
        self._state.rule.forget()

    def run(self, i: int, end: int) -> int:
        """Queue step `i` of the epoch, and others before `end` in one go; how many."""
        step, repeated = self._parts[i >= self._full]
        done = repeated.run(max(min(end, self._full) - i, 1))
        self._state.steps_done += done
        self._state.set_last_step(step)
        return done

    @property
    def nodes(self) -> int:
        """Calls of a full step, the nodes of its graph."""
        return len(self._parts[0][1].calls)

    @property
    def _whole(self) -> bool:
        """Whether a batch is the whole set: then it stays where it is."""
        return self._full == 1 and len(self._parts) == 1

    # One step.

    def _part(self, size: int, start: int) -> tuple[TrainingStep, "Repeated"]:
        """The step for batches of `size`, of which the first begins at `start`."""
        from xpnet.compiler.cuda.graph import Repeated

        state = self._state
        step = state.training_step(self._samples.kind(size))
        calls = self._calls(step, start)
        together = state.steps_per_graph
        return step, Repeated(calls, state.backend, together, self._refuse)

    def _calls(self, step: TrainingStep, start: int) -> list[Call]:
        from xpnet.compiler.cuda.module import handwritten

        program = step.program
        assert program is not None
        segments = program.segments
        # The kernels of the program are one module with these.
        module = self._driver.load(program.source or handwritten())
        numbers = self._state.rule.numbers
        count, steps = np.int32(numbers.size), np.int32(self._steps)
        kind = SUFFIX[numbers.dtype.name]
        first = (self._table, self._step, numbers, count, steps)
        self._first = self._launch(module, f"load_scalars_{kind}", int(count), first)
        tables = (self._losses, self._table, numbers, self._step)
        end = (step.loss, *tables, count, steps)
        return [
            *self._gathers(module, step, start),
            *segments["gradients"],
            *segments["loss"],
            *segments["update"],
            self._launch(module, f"end_step_{kind}", 1, end),
        ]

    def _gathers(self, module: "Module", step: TrainingStep, start: int) -> list[Call]:
        """x, y and weights of a batch into its buffers."""
        samples, batch = self._samples, step.batch
        if batch.samples == samples.count:
            return []
        # Rows are counted modulo their number: the short last batch, whatever step it
        # is, begins with its own first row.
        order = self._order[start:]
        rows = np.int32(batch.samples if start else samples.count)
        pairs = [(samples.x, batch.x), (samples.y, batch.y)]
        if samples.w is not None:
            pairs.append((samples.w, batch.w))
        calls = []
        for source, target in pairs:
            kinds = (SUFFIX[source.dtype.name], SUFFIX[target.dtype.name])
            name = "gather_i32" if kinds[0] == "i32" else "gather_{}_{}".format(*kinds)
            width = np.int32(target.size // batch.samples)
            sizes = (rows, width, np.int32(batch.samples))
            arguments = (source, order, self._step, target, *sizes)
            calls.append(self._launch(module, name, target.size, arguments))
        return calls

    def _launch(
        self, module: "Module", name: str, threads: int, arguments: tuple[Any, ...]
    ) -> Call:
        grid, block = (math.ceil(threads / THREADS), 1, 1), (THREADS, 1, 1)
        function = module.function(name)
        return self._driver.launch, (function, grid, block, arguments)

    def _refuse(self, reason: str) -> None:
        for _, repeated in self._parts:
            repeated.captures = False
        warn_of_refusal(reason)


def graph_epoch(
    state: TrainingState,
    samples: Samples,
    batch_size: int,
    order: Array,
    losses: Array,
) -> GraphEpoch | None:
    """The epochs of a `fit` as graphs; None where the host has a part in each step."""
    backend = state.backend
    assert state.model.buffers is not None
    if driver_of(backend) is None or state.eager or state.model.buffers.lead:
        return None
    widest = max(samples.x.size // max(samples.count, 1), samples.count)
    if state.steps_per_graph == 0 or widest >= 2**31:  # kernels count in int
        return None
    try:
        return GraphEpoch(state, samples, batch_size, order, losses)
    except DeviceError as error:
        warn(f"{error}; no CUDA graphs", RuntimeWarning, stacklevel=2)
        return None
