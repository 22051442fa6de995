"""The epochs of networks that train together: steps over all of them at once."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from xpnet.backend import Array
from xpnet.common.arrays import NDArray
from xpnet.execution.interrupt import Interrupt, Pace
from xpnet.execution.network_blocks import (
    NetworkBlock,
    balanced,
    cut,
    take_turns,
)
from xpnet.execution.step import TrainingStep
from xpnet.execution.steps import GatherSpec, StepBlock
from xpnet.stack.divergence import look_back, remove_diverged
from xpnet.stack.layout import GroupLayout, Part
from xpnet.stack.network import Network
from xpnet.stack.parameters import ModelSlice, StackedParameters
from xpnet.training.data import Gather, Samples


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

    losses: NDArray
    seen: NDArray
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
        self._blocks: dict[TrainingStep, StepBlock] = {}
        self._pace = Pace()

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
            pool, threads: see `take_turns`.
        """
        self._pool, self._threads = pool, threads
        self.take(networks, samples, shuffle, w)
        for block in self._blocks.values():
            sources = [source for source, _ in samples.pairs(block.step.batch, w)]
            block.read(sources, self._fetch(block.rows, block.step))

    def let_go(self) -> None:
        """Hold neither the networks nor their samples."""
        for block in self._blocks.values():
            block.let_go()
        self._pool = None
        super().let_go()
        steps = set(self.parameters.recorded)
        self._blocks = {at: one for at, one in self._blocks.items() if at in steps}
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
        blocks, shared = self._blocks_at(0), 0
        for block in blocks:
            size = len(self._active(block))
            if size and balanced(size, block.most, self._threads) < size:
                shared += size
        found = all(block.in_c is not None for block in blocks)
        return found and 2 * shared >= len(self.parameters.active)

    @property
    def leaves_out(self) -> bool:
        """Whether networks that have ended cost nothing: all steps are in C."""
        return all(self._block(part).splits for part in self.parts)

    def _active(self, block: StepBlock) -> list[int]:
        """The networks of a block that still train."""
        return [i for i in self.training if i in block.rows]

    def foresee(self, epochs: int, seconds: float) -> None:
        """Say that `epochs` more are to come, each of about `seconds`."""
        each = epochs * seconds / len(self.plan)  # in all, of a step of the plan
        for part, count in self.parts.items():
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

    def epoch(self, interrupt: Interrupt) -> Epoch:
        """Train every network for one epoch."""
        began = time.perf_counter()
        index, training = self.order(), self.training
        table = self.numbers.table(len(self.plan), self.frozen)
        done = 0
        with self.backend.active(), np.errstate(all="ignore"):
            self.backend.upload(self.index, index)
            self.backend.upload(self.table, table)
            if self.w is not None:
                self.weighted[...] = self.index + self.device_blocks[:, :, None]
            if not self.backend.is_host:
                self.rollback.keep()
            while done < len(self.plan) and not (done and interrupt.asked):
                done = self._advance(done, 1 if interrupt.asked else self._pace.steps)
            losses = self.backend.to_numpy(self.losses)
            if not self.backend.is_host:
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

    def _advance(self, i: int, most: int) -> int:
        """Step i of an epoch for all networks, and some after it; the next one."""
        parts, end, stop = self.plan[i], min(i + most, len(self.plan)), i + 1
        while stop < end and self.plan[stop] == parts:
            stop += 1
        began = time.perf_counter()
        for block in self._blocks_at(i):
            start, networks = time.perf_counter(), [block.rows]
            if block.splits:
                networks = cut(self._active(block), block.most, self._threads)
            blocks = [NetworkBlock(block.run, some, i) for some in networks]
            self.run(blocks, stop, stop - i, self.table)
            if block.step.replay is not None:
                block.step.replay.add_runtime(time.perf_counter() - start)
        self._pace.note(stop - i, time.perf_counter() - began)
        return stop

    def run(
        self,
        blocks: Sequence[NetworkBlock],
        stop: int,
        turn: int,
        table: Array,
        interrupt: Interrupt | None = None,
    ) -> tuple[int, dict[int, tuple[int, int]]]:
        """Let threads take blocks to step `stop`, and freeze what diverges there.

        Args:
            blocks, stop, turn, interrupt: see `take_turns`; steps are counted through
                the epochs.
            table: the numbers of the steps, (steps, k, names).

        Returns:
            The step that all have come to, and {row: (epochs, steps)} of those that
            diverged: how many they have taken.
        """
        how = (turn, self._pool, self._threads)
        done = take_turns(blocks, stop, *how, interrupt)
        ended: dict[int, tuple[int, int]] = {}
        while stopped := [block for block in blocks if block.reached < done]:
            for block in stopped:
                ended |= self._remove_diverged(block, table)
            take_turns(stopped, done, *how)
        return done, ended

    def _remove_diverged(
        self, block: NetworkBlock, table: Array
    ) -> dict[int, tuple[int, int]]:
        """Freeze the networks of a block whose step went wrong, and let it go on."""
        at, first = block.reached, block.networks.start
        epoch, i = divmod(at, len(self.plan))
        (found,) = [one for one in self._blocks_at(i) if first in one.rows]
        taken = epoch * self.steps + i
        ended = remove_diverged(self, found, block.networks, taken, table)
        found.update(at, first, len(block.networks))
        block.skip(len(self.plan))
        return {row: (epoch, steps) for row, steps in ended.items()}

    def _blocks_at(self, i: int) -> list[StepBlock]:
        """What takes step i of an epoch: blocks of consecutive networks."""
        return [self._block(part) for part in self.plan[i]]

    def _block(self, part: Part) -> StepBlock:
        """The steps of this part of the plan, of one epoch."""
        models, step = self.step(part)
        if step not in self._blocks:
            fetch = self._fetch(range(*part[:2]), step)
            lists = (self.index, self.own, self.weighted)
            places = (self.table, self.losses)
            self._blocks[step] = self.step_block(models, step, *lists, *places, fetch)
        return self._blocks[step]

    def _fetch(self, rows: range, step: TrainingStep) -> Callable[[int], object]:
        """What fetches the samples of a step for these rows, by calls."""
        own, known = slice(rows.start, rows.stop), list[Gather]()
        index = self.index[own, :, : step.batch.samples]
        places = (self.samples, step.batch, self.w, self.device_blocks[own])

        def fetch(i: int) -> None:
            if not known:
                known.append(Gather(*places))
            known[0].run(index[:, i])

        return fetch

    def step_block(
        self,
        models: ModelSlice,
        step: TrainingStep,
        index: Array,
        which: Array,
        weighted: Array,
        table: Array,
        losses: Array,
        fetch: Callable[[int], object] | None = None,
    ) -> StepBlock:
        """The steps of these rows for batches of one size.

        Args:
            step: of the models.
            index: lists of the samples that the steps take, (lists, steps, batch).
            which: the list of each network, (networks,).
            weighted: where each network's weights of them are, (networks, steps,
                batch); of any shape without weights.
            table, losses, fetch: see `StepBlock`, of all networks.
        """
        rows, parameters = models.rows, self.parameters
        lists = [(index, which), (index, which), (weighted, self.own)]
        gathers = [
            GatherSpec(*pair, at[..., : step.batch.samples], of[rows])
            for pair, (at, of) in zip(
                self.samples.pairs(step.batch, self.w), lists, strict=False
            )
        ]
        kept = [(array[rows], copy[rows]) for array, copy in self.rollback.pairs]
        each = 2 + len(parameters.slots) + len(parameters.averages)
        held = each * parameters.buffers.params[0].nbytes
        places = (table[:, rows], losses[:, rows], kept, held, rows.start)
        return StepBlock(step, gathers, fetch, *places)
