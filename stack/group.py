"""The epochs of networks that train together: steps over all of them at once."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.compiler import Program
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.network_blocks import NetworkBlocks, balanced, network_blocks
from xpnet.execution.step import TrainingStep
from xpnet.stack.divergence import look_back, remove_diverged
from xpnet.stack.layout import GroupLayout, Part, Values
from xpnet.stack.network import Network
from xpnet.stack.parameters import ModelSlice, StackedParameters
from xpnet.training.data import Gather, Samples
from xpnet.training.steps import SPAN


@dataclass
class Epoch:
    """What an epoch gave.

    Attributes:
        losses: mean loss of each network over its batches, (k,).
        seen: samples that each has seen, (k,).
        batches: steps that were taken before Ctrl-C, or None if none came.
        training: the networks that took part.
        diverged: those of them that it has ended.
        seconds: that it took, about.
        first, last: whether it is the first, the last of those taken together.
    """

    losses: Values
    seen: Values
    batches: int | None
    training: list[int]
    diverged: set[int]
    seconds: float
    first: bool = True
    last: bool = True


class NetworkGroup(GroupLayout):
    """Networks side by side, and their epochs.

    Args:
        parameters, samples, batch_size, w: see `GroupLayout`.
    """

    def __init__(
        self, parameters: StackedParameters, samples: Samples, batch_size: int, w: Array
    ) -> None:
        super().__init__(parameters, samples, batch_size, w)
        self._steps: dict[Part, tuple[ModelSlice, TrainingStep]] = {}
        self._gathers: dict[TrainingStep, Gather] = {}
        self._in_c: dict[TrainingStep, tuple[Program | None, NetworkBlocks | None]] = {}
        self._stride = 1  # steps between two looks at Ctrl-C

    def begin(
        self,
        networks: Sequence[Network],
        samples: Samples,
        shuffle: bool,
        w: Array,
        pool: Executor | None,
        threads: int,
    ) -> None:
        """Train these networks from now on.

        Args:
            networks, samples, shuffle, w: see `GroupLayout.take`.
            pool, threads: see `NetworkBlocks.run`.
        """
        self._pool, self._threads = pool, threads
        self.take(networks, samples, shuffle, w)
        sources = [samples.x, samples.y, *([] if w is None else [w])]
        for _, blocks in self._in_c.values():
            if blocks is not None:
                blocks.read(sources)

    def let_go(self) -> None:
        """Hold neither the networks nor their samples."""
        for _, blocks in self._in_c.values():
            if blocks is not None:
                blocks.let_go()
        self._gathers.clear()
        self._pool = None
        super().let_go()
        steps = set(self.parameters.recorded)
        self._in_c = {at: one for at, one in self._in_c.items() if at in steps}
        self._steps = {at: one for at, one in self._steps.items() if one[1] in steps}

    def record(self) -> None:
        """Build every program that an epoch runs, and so refuse what cannot train."""
        if len(self._steps) == len(self.parts):
            return  # in an earlier fit
        with self.backend.active():
            for part in self.parts:
                self.step(part)

    @property
    def in_c(self) -> bool:
        """Whether the first step is taken in C, and threads can share most of it."""
        count, threads = len(self.parameters.active), self._threads
        parts = self._in_parts(self.plan[0])
        found = [one for _, _, one in parts if one is not None]
        sizes = [len(self._active(models)) for models, _, _ in parts]
        shared = sum(
            size
            for one, size in zip(found, sizes, strict=False)
            if size and balanced(size, one.most, threads) < size
        )
        return len(found) == len(parts) and 2 * shared >= count

    @property
    def leaves_out(self) -> bool:
        """Whether networks that have ended cost nothing: all steps are in C."""
        blocks = [one for _, _, one in self._in_parts(self.parts)]
        return all(one is not None and one.steps.native.splits for one in blocks)

    def _active(self, models: ModelSlice) -> list[int]:
        """The networks that still train, as their models counts them."""
        first, stop = models.rows.start, models.rows.stop
        return [i - first for i in self.training if first <= i < stop]

    def foresee(self, epochs: int, seconds: float) -> None:
        """Say that `epochs` more are to come, each of about `seconds`."""
        each = epochs * seconds / len(self.plan)  # in all, of a step of the plan
        times = Counter(part for parts in self.plan for part in parts)
        for part, count in times.items():
            _, step = self.step(part)
            if step.replay is not None:
                step.replay.expect_runtime(each * count)

    def step(self, part: Part) -> tuple[ModelSlice, TrainingStep]:
        """(the rows of this part of the plan, their step for its batches)."""
        if part not in self._steps:
            models = self.parameters.slice(*part[:2])
            step = models.training_step(self.samples.kind(part[2]))
            self._steps[part] = models, step
        return self._steps[part]

    def _in_parts(
        self, parts: Iterable[Part]
    ) -> list[tuple[ModelSlice, TrainingStep, NetworkBlocks | None]]:
        """[(rows, their step, their steps in C or None)]."""
        found = []
        for part in parts:
            models, step = self.step(part)
            found.append((models, step, self._blocks_of(step, models)))
        return found

    def _gather(self, models: ModelSlice, step: TrainingStep) -> Gather:
        """What fetches the samples of a models."""
        if step not in self._gathers:
            blocks = self.device_blocks[models.rows]
            self._gathers[step] = Gather(self.samples, step.batch, self.w, blocks)
        return self._gathers[step]

    def epoch(self, interrupt: Interrupt) -> Epoch:
        """Train every network for one epoch."""
        began = time.perf_counter()
        index, frozen, done = self.order(), self.frozen, 0
        table = self.numbers.table(len(self.plan), frozen)
        training = [i for i, ended in enumerate(frozen) if not ended]
        with self.backend.active():
            self.backend.upload(self.index, index)
            self.backend.upload(self.table, table)
            if self.w is not None:
                self.weighted[...] = self.index + self.device_blocks[:, :, None]
            if not self.backend.is_host:
                self.rollback.keep(slice(None))
            while done < len(self.plan) and not (done and interrupt.asked):
                done = self._advance(done)
            losses = self.backend.to_numpy(self.losses)
            if not self.backend.is_host:
                with np.errstate(all="ignore"):
                    look_back(self, losses, done)
        taken = np.minimum(self.steps, done).tolist()
        left = set(self.training)
        for i in left:
            trainer = self.networks[i].trainer
            trainer.steps_done += taken[i]
            trainer.epochs_done += 1
        weights = self.weights(index)[:, :done]
        return Epoch(
            self.means(losses[:done], weights),
            np.minimum(self.counts, done * self.batch_size),
            done if interrupt.asked else None,
            training,
            set(training) - left,
            time.perf_counter() - began,
        )

    def _advance(self, i: int) -> int:
        """Step i of an epoch for all networks, and in C some after it; the next one."""
        parts = self.plan[i]
        found, stop = self._in_parts(parts), i + 1
        if any(map(itemgetter(2), found)):  # in C
            end = min(i + self._stride, len(self.plan))
            while stop < end and self.plan[stop] == parts:
                stop += 1
        began = time.perf_counter()
        for models, step, in_c in found:
            if in_c is None:
                with np.errstate(all="ignore"):
                    for at in range(i, stop):
                        self._call(models, step, at)
                continue
            how = (self._active(models), self._pool, self._threads)
            for at, among in in_c.run(i, stop, *how):
                taken = np.full_like(self.steps, at)
                remove_diverged(self, models, step, among, taken)
        took = max(time.perf_counter() - began, 1e-9)
        self._stride = min(2 * self._stride, max(1, int(SPAN * (stop - i) / took)))
        return stop

    def _call(self, models: ModelSlice, step: TrainingStep, i: int) -> None:
        """Step i of an epoch for the networks of a models, call by call."""
        rows = self.index[models.rows, i, : step.batch.samples]
        self._gather(models, step).run(rows)
        models.rule.numbers[...] = self.table[i, models.rows]
        if not self.backend.is_host:  # looked at when the epoch has ended
            step.run_whole()
            self.losses[i, models.rows] = step.loss.reshape(-1)
            return
        self.rollback.keep(models.rows)
        step.run("gradients")
        step.run("loss")
        losses = step.loss.reshape(-1)
        self.losses[i, models.rows] = losses
        if not (np.isfinite(losses).all() and all_finite(models.grads)):
            taken = np.full_like(self.steps, i)
            remove_diverged(self, models, step, range(len(losses)), taken)
        step.run("update")

    def _blocks_of(
        self, step: TrainingStep, models: ModelSlice
    ) -> NetworkBlocks | None:
        """The steps of these rows in C; None where they go call by call."""
        known = self._in_c.get(step)
        if known is None or known[0] is not step.program:
            known = self._in_c[step] = step.program, self._linked(step, models)
        return known[1]

    def _linked(self, step: TrainingStep, models: ModelSlice) -> NetworkBlocks | None:
        rows, size = models.rows, step.batch.samples
        index, weighted = self.index[:, :, :size], self.weighted[:, :, :size]
        table, losses = self.table[:, rows], self.losses[:, rows]
        return self.linked(step, models, index, self.own, weighted, table, losses)

    def linked(
        self,
        step: TrainingStep,
        models: ModelSlice,
        index: Array,
        which: Array,
        weighted: Array,
        table: Array,
        losses: Array,
    ) -> NetworkBlocks | None:
        """Steps of a models in C; None where they go call by call.

        Args:
            step: of the models.
            index: lists of the samples that the steps take, (lists, steps, batch).
            which: the list of each network, (networks,).
            weighted: where each network's weights of them are, (networks, steps,
                batch); of any shape without weights.
            table: the numbers of the steps, (steps, k, names).
            losses: where they are kept, (steps, k).
        """
        if not self.backend.is_host:
            return None
        rows, parameters = models.rows, self.parameters
        lists = [(index, which), (index, which), (weighted, self.own)]
        gathers = [
            (x, at[:, 0], out, of[rows], at.strides[1])
            for (x, out), (at, of) in zip(
                self.samples.pairs(step.batch, self.w), lists, strict=False
            )
        ]
        pairs = self.rollback.pairs
        copies = [
            (table[0], models.rule.numbers, (table.strides[0], 0)),
            *((array[rows], kept[rows], (0, 0)) for array, kept in pairs),
        ]
        each = 2 + len(parameters.slots) + len(parameters.averages)
        held = each * parameters.buffers.params[0].nbytes
        return network_blocks(step, models.grads, losses, gathers, copies, held)
