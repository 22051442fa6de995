"""The epochs of networks that train together: steps over all of them at once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from xpnet.backend import Array
from xpnet.execution.interrupt import Interrupt, Pace
from xpnet.execution.network_blocks import NetworkBlock, balanced, cut, take_turns
from xpnet.execution.step import TrainingStep
from xpnet.execution.steps import GatherSpec, StepBlock
from xpnet.stack.compatibility import recorded_settings
from xpnet.stack.divergence import look_back, remove_diverged
from xpnet.stack.gather import Gather
from xpnet.stack.kept import Kept
from xpnet.stack.layout import GroupLayout, Values, layout_of
from xpnet.stack.network import Network
from xpnet.stack.parameters import ModelSlice, StackedParameters
from xpnet.training.data import Samples


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

    Attributes:
        parts: {(start, stop, batch size) of the rows: steps in an epoch}.
    """

    def __init__(
        self, parameters: StackedParameters, samples: Samples, batch_size: int, w: Array
    ) -> None:
        super().__init__(parameters, samples, batch_size, w)
        self._blocks: dict[TrainingStep, StepBlock] = {}
        self._pace = Pace()
        self.parts = Counter(part for parts in self.plan for part in parts)

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

    def record(self) -> None:
        """Build every program that an epoch runs, and so refuse what cannot train."""
        with self.backend.active():
            for start, stop, size in set(self.parts):
                self.step(self.parameters.slice(start, stop), size)

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
        for (start, stop, size), count in self.parts.items():
            step = self.step(self.parameters.slice(start, stop), size)
            if step.replay is not None:
                step.replay.expect_runtime(each * count)

    def step(self, models: ModelSlice, size: int) -> TrainingStep:
        """Of these rows, for batches of this size."""
        return models.training_step(self.samples.kind(size))

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
        alike, parts = self.plan[i : i + most], self.plan[i]
        stop = i + sum(1 for _ in takewhile(lambda other: other == parts, alike))
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
        block.reached += 1
        return {row: (epoch, steps) for row, steps in ended.items()}

    def _blocks_at(self, i: int) -> list[StepBlock]:
        """What takes step i of an epoch: blocks of consecutive networks."""
        return [self._block(part) for part in self.plan[i]]

    def _block(self, part: tuple[int, int, int]) -> StepBlock:
        """The steps of (start, stop, batch size), of one epoch."""
        start, stop, size = part
        models = self.parameters.slice(start, stop)
        step = self.step(models, size)
        if step not in self._blocks:
            fetch = self._fetch(range(start, stop), step)
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


def group_of(
    networks: Sequence[Network],
    kept: "Kept[NetworkGroup]",
    samples: Samples,
    batch_size: int,
    shuffle: bool,
    w: Array = None,
    pool: Executor | None = None,
    threads: int = 1,
) -> NetworkGroup:
    """The networks as a group: with programs that are kept, or with new ones.

    Those with most samples are first, and those that see the same ones side by side. In
    rows without a network the first of them stands in; it is not trained there.

    Args:
        networks: of equal `stack_key`, built.
        kept: the programs of earlier groups.
        samples, batch_size, w: see `NetworkGroup`.
        shuffle, pool, threads: see `NetworkGroup.begin`.
    """
    placed, group = _in_order(networks), None
    trainers = [network.trainer for network in placed]
    counts = [len(network.rows) for network in placed]
    settings = [recorded_settings(trainer) for trainer in trainers]
    found = kept.take(settings, counts, True)
    if found is None:
        parameters = StackedParameters(trainers, True, settings, counts)
    else:
        parameters, rows, group = found
        parameters.take(trainers, rows, counts)
        first, in_order = placed[0], placed
        absent = Network(first.trainer, first.rows, first.held, frozen=True)
        placed = [absent] * len(parameters.settings)
        for row, network in zip(rows, in_order, strict=True):
            placed[row] = network
    if group is None or group.layout != layout_of(parameters, samples, batch_size, w):
        group = NetworkGroup(parameters, samples, batch_size, w)
    group.begin(placed, samples, shuffle, w, pool, threads)
    return group


def _in_order(networks: Sequence[Network]) -> list[Network]:
    """Most samples first; networks of the same samples find them in the cache."""
    first: dict[int, int] = {}
    for i, network in enumerate(networks):
        first.setdefault(id(network.rows), i)
    return sorted(networks, key=lambda m: (-len(m.rows), first[id(m.rows)]))
