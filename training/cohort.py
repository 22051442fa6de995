"""Networks that train together: epochs of steps over all of them at once.

The networks stand in the order of their numbers of samples, most first. In every step
the batch sizes of the networks therefore only fall from row to row, and the networks
with batches of one size are a lane: all of them while batches are full, then a lane for
each size of the short last batch. Nothing is padded, so that a network's batches, and
what BatchNorm sees of them, are those that it would have alone.

A network whose training has ended is copied into its trainer at that moment. Its row
goes on being computed, at a rate of 0 and unread, until the stack is packed anew.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise, takewhile
from types import SimpleNamespace
from typing import Any

import numpy as np

from xpnet.backend import Array, Program
from xpnet.training.bank import Bank, Lane
from xpnet.training.checks import quickly_finite
from xpnet.training.dataset import Orders, Samples
from xpnet.training.divergence import divergence
from xpnet.training.gather import Gather, padded
from xpnet.training.interrupt import Interrupt
from xpnet.training.member import Member
from xpnet.training.numbers import Numbers
from xpnet.training.step import TrainingStep
from xpnet.training.stretch import SPAN
from xpnet.training.tiles import Tiles, tiles

Values = np.ndarray[Any, Any]


@dataclass
class Epoch:
    """What an epoch gave.

    Attributes:
        losses: mean loss of each network over its batches, (k,).
        seen: samples that each has seen, (k,).
        batches: steps that were taken before Ctrl-C, or None if none came.
    """

    losses: Values
    seen: Values
    batches: int | None


class Cohort:
    """Members side by side in a bank, and their epochs.

    Args:
        members: of equal `stack_key`, built; they are put in order of their samples.
        samples: x, y and weights that all draw from.
        batch_size: samples a step; a network with fewer takes all it has.
        shuffle: a new order each epoch, drawn from each network's (seed, epoch).
        w: the weights on the device, in blocks where networks have their own.
        pool, threads: see `Tiles.run`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        samples: Samples,
        batch_size: int,
        shuffle: bool,
        w: Array = None,
        pool: Executor | None = None,
        threads: int = 1,
    ) -> None:
        self.members = sorted(members, key=lambda member: -len(member.rows))
        self.samples, self.batch_size = samples, batch_size
        self._pool, self._threads = pool, threads
        trainers = [member.trainer for member in self.members]
        self.bank, self.numbers = Bank(trainers), Numbers(trainers)
        seeds = {trainer.seed for trainer in trainers}
        self._orders = {seed: Orders(seed, batch_size, shuffle) for seed in seeds}
        self.backend, self.w = self.bank.backend, w
        self.counts = np.array([len(member.rows) for member in self.members])
        self.steps = -(-self.counts // batch_size)  # of each network in an epoch
        self.plan = [self._parts(i) for i in range(int(self.steps[0]))]
        self._gathers: dict[TrainingStep, Gather] = {}
        self._tiled: dict[TrainingStep, tuple[Program | None, Tiles | None]] = {}
        self._stride = 1  # steps between two looks at Ctrl-C
        self.host_w = None if w is None else self.backend.to_numpy(w)
        shape = (len(self.plan), len(self.members))
        blocks = np.array([[member.block] for member in self.members], np.int64)
        with self.backend.active():
            zeros, names = self.backend.zeros, trainers[0].rule.numbers.shape
            self.losses = zeros(shape, trainers[0].dtype)
            self._kept = [array.copy() for array in self._safe()]
            # Of this epoch: the samples' order, that of their weights, the numbers.
            self._index = zeros((len(self.members), int(self.counts[0])), np.int64)
            self._weighted = zeros(
                self._index.shape if w is not None else (0, 0), np.int64
            )
            self._blocks = self.backend.asarray(blocks)
            self._table = zeros((*shape, *names), trainers[0].dtype)

    def _parts(self, i: int) -> list[tuple[int, int, int]]:
        """(start, stop, batch size) of the lanes that take step i of an epoch."""
        sizes = np.clip(self.counts - i * self.batch_size, 0, self.batch_size)
        cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
        parts = [(a, b, int(sizes[a])) for a, b in pairwise(cuts)]
        return [part for part in parts if part[2]]

    @property
    def alive(self) -> int:
        """How many networks still train."""
        return sum(not member.frozen for member in self.members)

    def record(self) -> None:
        """Build every program that an epoch runs, and so refuse what cannot train."""
        with self.backend.active():
            for start, stop, size in {part for parts in self.plan for part in parts}:
                self._step(self.bank.lane(start, stop), size)

    @property
    def in_c(self) -> bool:
        """Whether the first step is taken in C, and threads can share it."""
        lanes = [(self.bank.lane(a, b), size) for a, b, size in self.plan[0]]
        found = [self._tiles(self._step(*one), one[0]) for one in lanes]
        return all(one is not None and one.tile < one.count for one in found)

    def foresee(self, epochs: int, seconds: float) -> None:
        """Say that `epochs` more are to come, each of about `seconds`."""
        each = epochs * seconds / len(self.plan)  # in all, of a step of the plan
        times = Counter(part for parts in self.plan for part in parts)
        for (start, stop, size), count in times.items():
            step = self._step(self.bank.lane(start, stop), size)
            if step.replay is not None:
                step.replay.foresee(each * count)

    def _step(self, lane: Lane, size: int) -> TrainingStep:
        kind = self.samples.kind(size)
        step = lane.training_step(kind)
        if step not in self._gathers:
            blocks = self._blocks[lane.rows]
            self._gathers[step] = Gather(self.samples, step.batch, self.w, blocks)
        return step

    def epoch(self, interrupt: Interrupt) -> Epoch:
        """Train every network for one epoch."""
        index = self._order()
        table = self.numbers.table(
            len(self.plan), [member.frozen for member in self.members]
        )
        done = 0
        with self.backend.active(), np.errstate(all="ignore"):
            self.backend.upload(self._index, index)
            self.backend.upload(self._table, table)
            if self.w is not None:
                self._weighted[...] = self._index + self._blocks
            if not self.backend.is_host:
                self._keep(slice(None))
            while done < len(self.plan) and not (done and interrupt.asked):
                done = self._advance(done)
            losses = self.backend.to_numpy(self.losses)
            if not self.backend.is_host:
                self._look_back(losses, done)
        taken = np.minimum(self.steps, done)
        for member, steps in zip(self.members, taken.tolist(), strict=True):
            if not member.frozen:
                member.trainer.steps_done += steps
                member.trainer.epochs_done += 1
        return self._summary(losses, index, done, interrupt.asked)

    def _advance(self, i: int) -> int:
        """Step i of an epoch for all networks, and in C some after it; the next one."""
        parts = self.plan[i]
        lanes = [(self.bank.lane(a, b), size) for a, b, size in parts]
        tiled = [self._tiles(self._step(*one), one[0]) for one in lanes]
        stop = i + 1
        if any(tiled):
            alike = self.plan[i : i + self._stride]
            stop = i + sum(1 for _ in takewhile(lambda other: other == parts, alike))
        began = time.perf_counter()
        for (lane, size), in_c in zip(lanes, tiled, strict=True):
            if in_c is None:
                for at in range(i, stop):
                    self._call(lane, at, size)
                continue
            for at, members in in_c.run(i, stop, self._pool, self._threads):
                self._part_with(lane, at, self._step(lane, size), members)
        took = max(time.perf_counter() - began, 1e-9)
        self._stride = min(2 * self._stride, max(1, int(SPAN * (stop - i) / took)))
        return stop

    def _call(self, lane: Lane, i: int, size: int) -> None:
        """Step i of an epoch for the networks of a lane, call by call."""
        step, start = self._step(lane, size), i * self.batch_size
        self._gathers[step].run(self._index[lane.rows, start : start + size])
        lane.rule.numbers[...] = self._table[i, lane.rows]
        if not self.backend.is_host:  # looked at when the epoch has ended
            step.run_whole()
            self.losses[i, lane.rows] = step.loss.reshape(-1)
            return
        self._keep(lane.rows)
        step.run("gradients")
        step.run("loss")
        losses = step.loss.reshape(-1)
        self.losses[i, lane.rows] = losses
        if not (np.isfinite(losses).all() and quickly_finite(lane.grads)):
            self._part_with(lane, i, step, range(len(losses)))
        step.run("update")

    def _tiles(self, step: TrainingStep, lane: Lane) -> Tiles | None:
        """The steps of a lane in C; None where they go call by call."""
        known = self._tiled.get(step)
        if known is None or known[0] is not step.program:
            known = self._tiled[step] = step.program, self._linked(step, lane)
        return known[1]

    def _linked(self, step: TrainingStep, lane: Lane) -> Tiles | None:
        rows, size, bank = lane.rows, step.batch.samples, self.bank
        if not self.backend.is_host:
            return None
        gathers = [
            (x, index[rows, :size], out, self.batch_size * index.itemsize)
            for (x, out), index in zip(
                self.samples.pairs(step.batch, self.w),
                (self._index, self._index, self._weighted),
                strict=False,
            )
        ]
        table, safe = self._table, zip(self._safe(), self._kept, strict=True)
        copies = [
            (table[0, rows], lane.rule.numbers, (table.strides[0], 0)),
            *((array[rows], kept[rows], (0, 0)) for array, kept in safe),
        ]
        held = (2 + len(bank.slots) + len(bank.averages)) * bank.buffers.params[
            0
        ].nbytes
        losses, threads = self.losses[:, rows], self._threads
        return tiles(step, lane.grads, losses, gathers, copies, held, threads)

    def _order(self) -> Values:
        """The samples of each network in the order of this epoch, (k, most)."""
        lines: dict[tuple[int, int, int], Values] = {}  # networks share rows and seeds
        found = []
        for member in self.members:
            trainer, count = member.trainer, len(member.rows)
            key = (trainer.seed, trainer.epochs_done, id(member.rows))
            if key not in lines:
                drawn = self._orders[trainer.seed].of(trainer.epochs_done, count)
                lines[key] = member.rows[drawn]
            found.append(lines[key])
        return padded(found, int(self.counts[0]))

    def _summary(self, losses: Values, index: Values, done: int, asked: bool) -> Epoch:
        """Each network's weighted mean loss over its batches."""
        ends = np.minimum(
            np.arange(1, done + 1) * self.batch_size, self.counts[:, None]
        )
        seen = ends[:, -1]
        if self.host_w is None:
            weights = np.diff(ends, axis=1, prepend=0).astype(np.float64)
        else:
            w = self.host_w[index + self.backend.to_numpy(self._blocks)].astype(
                np.float64
            )
            w[np.arange(index.shape[1]) >= self.counts[:, None]] = 0.0
            sums = np.cumsum(w, axis=1)
            weights = np.diff(
                sums[np.arange(len(w))[:, None], ends - 1], axis=1, prepend=0.0
            )
        total = weights.sum(axis=1)
        found = np.where(weights > 0.0, losses[:done].T.astype(np.float64), 0.0)
        mean = (found * weights).sum(axis=1) / np.where(total > 0.0, total, 1.0)
        return Epoch(mean, seen, done if asked else None)

    # Networks that leave.

    def freeze(self, i: int) -> None:
        """Network i is done: its trainer takes what its row holds now."""
        self.members[i].frozen = True
        self.bank.pull(i)

    def release(self) -> None:
        """Every trainer that still trains takes what its row holds."""
        for i, member in enumerate(self.members):
            if not member.frozen:
                self.bank.pull(i)

    def _safe(self) -> list[Array]:
        """What steps change before anybody has looked: on a device, everything."""
        bank = self.bank
        arrays = [bank.buffers.state]
        if not self.backend.is_host:
            arrays += [bank.buffers.params, bank.step]
            arrays += [*bank.slots.values(), *bank.averages]
        return [array for array in arrays if array.size]

    def _keep(self, rows: slice) -> None:
        for copy, array in zip(self._kept, self._safe(), strict=True):
            copy[rows] = array[rows]

    def _put_back(self, i: int) -> None:
        for copy, array in zip(self._kept, self._safe(), strict=True):
            array[i] = copy[i]

    def _part_with(
        self, lane: Lane, i: int, step: TrainingStep, members: Sequence[int]
    ) -> None:
        """Freeze those of a lane's `members` whose step went wrong, as before it."""
        bad = ~np.isfinite(step.loss.reshape(-1))
        bad |= ~np.isfinite(lane.grads).all(axis=1)
        for at in (at for at in members if bad[at]):
            row = lane.rows.start + at
            member = self.members[row]
            if not member.frozen:
                self._put_back(row)
                self.freeze(row)
                self._report(member, i, step.batch.x[at], float(step.loss[at, 0, 0]))
            self.bank.clear(row)
            self._table[:, row] = self.numbers.idle(row)
            lane.rule.numbers[at] = self._table[i, row]

    def _look_back(self, losses: Values, done: int) -> None:
        """On a device: freeze what diverged in this epoch, as it was before it."""
        for row, member in enumerate(self.members):
            steps = min(int(self.steps[row]), done)
            bad = np.flatnonzero(~np.isfinite(losses[:steps, row]))
            if not len(bad):
                continue
            if not member.frozen:
                first = int(bad[0])
                self._put_back(row)
                self.freeze(row)
                batch = member.rows[: self.batch_size]
                x = self.samples.x[self.backend.asarray(batch)]
                self._report(member, first, x, float(losses[first, row]))
            self.bank.clear(row)

    def _report(self, member: Member, i: int, x: Array, loss: float) -> None:
        """The error of a network that diverged in step i of the epoch."""
        trainer = member.trainer
        number = trainer.steps_done + i + 1
        if self.backend.is_host:
            trainer.steps_done += i
        member.error = divergence(trainer, SimpleNamespace(x=x), number, loss)
        trainer.stop = f"diverged: {member.error}"
