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
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise, takewhile
from types import SimpleNamespace
from typing import Any

import numpy as np

from xpnet.backend import Array
from xpnet.backend.arrays import all_finite
from xpnet.compiler import Program, primitives
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.network_blocks import Tiles, tiles
from xpnet.execution.step import TrainingStep
from xpnet.stack.gather import Gather
from xpnet.stack.hyperparameters import Numbers
from xpnet.stack.network import Member
from xpnet.stack.parameters import Bank, Lane
from xpnet.training.data import Orders, Samples, mean_loss
from xpnet.training.divergence import divergence
from xpnet.training.steps import SPAN

Values = np.ndarray[Any, Any]


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


class Cohort:
    """Members side by side in a bank, and their epochs.

    Args:
        members: of equal `stack_key`, built; they are put in order of the number of
            their samples, and those that see the same ones side by side.
        samples: x, y and weights that all draw from.
        batch_size: samples a step; a network with fewer takes all it has.
        shuffle: a new order each epoch, drawn from each network's (seed, epoch).
        w: the weights on the device, in blocks where networks have their own.
        pool, threads: see `Tiles.run`.

    Attributes:
        alike: the networks, those together that see the same samples in the same order.
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
        self.members = _in_order(members)
        self.samples, self.batch_size = samples, batch_size
        self._pool, self._threads = pool, threads
        trainers = [member.trainer for member in self.members]
        self.bank, self.numbers = Bank(trainers), Numbers(trainers)
        seeds = {trainer.seed for trainer in trainers}
        self._orders = {seed: Orders(seed, batch_size, shuffle) for seed in seeds}
        self.alike = self._alike()
        self.backend, self.w = self.bank.backend, w
        self.counts = np.array([len(member.rows) for member in self.members])
        self.steps = -(-self.counts // batch_size)  # of each network in an epoch
        self.plan = [self._parts(i) for i in range(int(self.steps[0]))]
        self._gathers: dict[TrainingStep, Gather] = {}
        self._tiled: dict[TrainingStep, tuple[Program | None, Tiles | None]] = {}
        self._stride = 1  # steps between two looks at Ctrl-C
        self.host_w = None if w is None else self.backend.to_numpy(w)
        shape = (len(self.plan), len(self.members))
        self.blocks = np.array([[member.block] for member in self.members], np.int64)
        with self.backend.active():
            zeros, names = self.backend.zeros, trainers[0].rule.numbers.shape
            self.losses = zeros(shape, trainers[0].dtype)
            self._kept = [array.copy() for array in self._safe()]
            # Of this epoch: the samples' order, that of their weights, the numbers.
            order = (len(self.members), len(self.plan), batch_size)
            self._index = zeros(order, np.int64)
            self._weighted = zeros(order if w is not None else (0, 0, 0), np.int64)
            self._blocks = self.backend.asarray(self.blocks)
            self._own = np.arange(len(self.members))
            self._table = zeros((*shape, *names), trainers[0].dtype)

    def _parts(self, i: int) -> list[tuple[int, int, int]]:
        """(start, stop, batch size) of the lanes that take step i of an epoch."""
        sizes = np.clip(self.counts - i * self.batch_size, 0, self.batch_size)
        cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
        parts = [(a, b, int(sizes[a])) for a, b in pairwise(cuts)]
        return [part for part in parts if part[2]]

    @property
    def training(self) -> list[int]:
        """The networks that still train."""
        return [i for i, frozen in enumerate(self._frozen) if not frozen]

    @property
    def _frozen(self) -> list[bool]:
        return [member.frozen for member in self.members]

    @property
    def alive(self) -> int:
        """How many networks still train."""
        return len(self.training)

    def record(self) -> None:
        """Build every program that an epoch runs, and so refuse what cannot train."""
        with self.backend.active():
            for start, stop, size in {part for parts in self.plan for part in parts}:
                self.step(self.bank.lane(start, stop), size)

    @property
    def in_c(self) -> bool:
        """Whether the first step is taken in C, and threads can share most of it."""
        lanes = [(self.bank.lane(a, b), size) for a, b, size in self.plan[0]]
        tiled = [self._tiles(self.step(*one), one[0]) for one in lanes]
        found = [one for one in tiled if one is not None]
        shared = sum(one.count for one in found if one.tile < one.count)
        return len(found) == len(lanes) and 2 * shared >= len(self.members)

    def foresee(self, epochs: int, seconds: float) -> None:
        """Say that `epochs` more are to come, each of about `seconds`."""
        each = epochs * seconds / len(self.plan)  # in all, of a step of the plan
        times = Counter(part for parts in self.plan for part in parts)
        for (start, stop, size), count in times.items():
            step = self.step(self.bank.lane(start, stop), size)
            if step.replay is not None:
                step.replay.foresee(each * count)

    def step(self, lane: Lane, size: int) -> TrainingStep:
        """Of a lane, for batches of this size."""
        kind = self.samples.kind(size)
        step = lane.training_step(kind)
        if step not in self._gathers:
            blocks = self._blocks[lane.rows]
            self._gathers[step] = Gather(self.samples, step.batch, self.w, blocks)
        return step

    def epoch(self, interrupt: Interrupt) -> Epoch:
        """Train every network for one epoch."""
        began = time.perf_counter()
        index, training = self._order(), self.training
        table = self.numbers.table(len(self.plan), self._frozen)
        done = 0
        with self.backend.active(), np.errstate(all="ignore"):
            self.backend.upload(self._index, index)
            self.backend.upload(self._table, table)
            if self.w is not None:
                self._weighted[...] = self._index + self._blocks[:, :, None]
            if not self.backend.is_host:
                self._keep(slice(None))
            while done < len(self.plan) and not (done and interrupt.asked):
                done = self._advance(done)
            losses = self.backend.to_numpy(self.losses)
            if not self.backend.is_host:
                self._look_back(losses, done)
        taken = np.minimum(self.steps, done).tolist()
        left = set(self.training)
        for i in left:
            trainer = self.members[i].trainer
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
        lanes = [(self.bank.lane(a, b), size) for a, b, size in parts]
        tiled = [self._tiles(self.step(*one), one[0]) for one in lanes]
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
                self.part_with(
                    lane, self.step(lane, size), members, np.full_like(self.steps, at)
                )
        took = max(time.perf_counter() - began, 1e-9)
        self._stride = min(2 * self._stride, max(1, int(SPAN * (stop - i) / took)))
        return stop

    def _call(self, lane: Lane, i: int, size: int) -> None:
        """Step i of an epoch for the networks of a lane, call by call."""
        step = self.step(lane, size)
        self._gathers[step].run(self._index[lane.rows, i, :size])
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
        if not (np.isfinite(losses).all() and all_finite(lane.grads)):
            self.part_with(lane, step, range(len(losses)), np.full_like(self.steps, i))
        step.run("update")

    def _tiles(self, step: TrainingStep, lane: Lane) -> Tiles | None:
        """The steps of a lane in C; None where they go call by call."""
        known = self._tiled.get(step)
        if known is None or known[0] is not step.program:
            known = self._tiled[step] = step.program, self._linked(step, lane)
        return known[1]

    def _linked(self, step: TrainingStep, lane: Lane) -> Tiles | None:
        rows, size = lane.rows, step.batch.samples
        index, weighted = self._index[:, :, :size], self._weighted[:, :, :size]
        table, losses = self._table[:, rows], self.losses[:, rows]
        return self.linked(step, lane, index, self._own, weighted, table, losses)

    def linked(
        self,
        step: TrainingStep,
        lane: Lane,
        index: Array,
        which: Array,
        weighted: Array,
        table: Array,
        losses: Array,
    ) -> Tiles | None:
        """Steps of a lane in C; None where they go call by call.

        Args:
            step: of the lane.
            index: lists of the samples that the steps take, (lists, steps, batch).
            which: the list of each network, (networks,).
            weighted: where each network's weights of them are, (networks, steps,
                batch); of any shape without weights.
            table: the numbers of the steps, (steps, k, names).
            losses: where they are kept, (steps, k).
        """
        if not self.backend.is_host:
            return None
        rows, bank = lane.rows, self.bank
        lists = [(index, which), (index, which), (weighted, self._own)]
        gathers = [
            (x, at[:, 0], out, of[rows], at.strides[1])
            for (x, out), (at, of) in zip(
                self.samples.pairs(step.batch, self.w), lists, strict=False
            )
        ]
        safe = zip(self._safe(), self._kept, strict=True)
        copies = [
            (table[0], lane.rule.numbers, (table.strides[0], 0)),
            *((array[rows], kept[rows], (0, 0)) for array, kept in safe),
        ]
        each = 2 + len(bank.slots) + len(bank.averages)
        held = each * bank.buffers.params[0].nbytes
        return tiles(step, lane.grads, losses, gathers, copies, held, self._threads)

    def _alike(self) -> list[list[int]]:
        found: dict[tuple[int, int, int], list[int]] = {}
        for i, member in enumerate(self.members):
            trainer = member.trainer
            key = (trainer.seed, trainer.epochs_done, id(member.rows))
            found.setdefault(key, []).append(i)
        return list(found.values())

    def orders(self, epochs: int) -> Iterator[Values]:
        """The samples in the orders of the next epochs, (epochs, n), for each of
        `alike`.
        """
        drawn: dict[tuple[int, int, int], Values] = {}
        for networks in self.alike:
            members = [self.members[i] for i in networks]
            # Those that have ended count no longer, and nobody looks at what they do.
            member = next((m for m in members if not m.frozen), members[0])
            seed, done = member.trainer.seed, member.trainer.epochs_done
            key = (seed, done, len(member.rows))
            if key not in drawn:
                drawn[key] = np.empty((epochs, len(member.rows)), np.int64)
                self._orders[seed].write(done, drawn[key])
            yield member.rows[drawn[key]]

    def _order(self) -> Values:
        """The samples of each network's batches in this epoch, (k, steps, batch)."""
        found = np.zeros(self._index.shape, np.int64)  # what is over is not read
        table = found.reshape((len(found), -1))
        for networks, (order,) in zip(self.alike, self.orders(1), strict=True):
            table[networks, : len(order)] = order
        return found

    def weights(self, index: Values | None) -> Values:
        """`Samples.weights` of each network, (k, steps), 0 behind its last batch.

        Args:
            index: the samples of an epoch, (k, steps, batch); read only where there
                are weights.
        """
        ends = np.arange(1, len(self.plan) + 1) * self.batch_size
        ends = np.minimum(ends, self.counts[:, None])
        if self.host_w is None or index is None or self.samples.by_count:
            found: Values = np.diff(ends, axis=1, prepend=0).astype(np.float64)
            return found
        index = index.reshape((len(index), -1))
        w = self.host_w[index + self.blocks].astype(np.float64)
        w[np.arange(index.shape[1]) >= self.counts[:, None]] = 0.0
        sums = np.cumsum(w, axis=1)
        upto = sums[np.arange(len(w))[:, None], ends - 1]
        found = np.diff(upto, axis=1, prepend=0.0)
        return found

    @staticmethod
    def means(losses: Values, weights: Values) -> Values:
        """Each network's mean loss over its batches: (..., k).

        Args:
            losses: (..., steps, k).
            weights: of the batches, (..., k, steps).
        """
        each = np.ascontiguousarray(np.swapaxes(losses, -1, -2))
        found: Values = mean_loss(np.where(weights > 0.0, each, 0.0), weights)
        return found

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

    def part_with(
        self,
        lane: Lane,
        step: TrainingStep,
        members: Sequence[int],
        taken: Values,
    ) -> dict[int, int]:
        """Freeze those of a lane's `members` whose step went wrong, as before it.

        Args:
            taken: steps of each network since its trainer counted, (k,).

        Returns:
            The networks that it has ended, with those steps.
        """
        bad = ~np.isfinite(step.loss.reshape(-1))
        bad |= ~np.isfinite(lane.grads).all(axis=1)
        ended = {}
        for at in (at for at in members if bad[at]):
            row = lane.rows.start + at
            member = self.members[row]
            if not member.frozen:
                ended[row] = int(taken[row])
                self._put_back(row)
                self.freeze(row)
                x, loss = step.batch.x[at], float(step.loss[at, 0, 0])
                self._report(member, ended[row], x, loss)
            self.bank.clear(row)
            self._table[:, row] = lane.rule.numbers[at] = self.numbers.idle(row)
        return ended

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
                step = self._replayed(row, first)
                self._report(member, first, step.x, float(losses[first, row]))
                self.bank.pull(row)  # which is as it was before the epoch
            self.bank.clear(row)

    def _replayed(self, row: int, last: int) -> TrainingStep:
        """The gradients of step `last` of the epoch, taken by network `row` alone.

        Its trainer goes there from before the epoch, call by call.
        """
        trainer = self.members[row].trainer
        model, steps = trainer.model, dict[int, TrainingStep]()
        model.bind_noise((trainer.seed,))
        for i in range(last + 1):
            size = min(self.batch_size, int(self.counts[row]) - i * self.batch_size)
            if size not in steps:
                kind = self.samples.kind(size)
                parts = (model, trainer.loss_function, trainer.rule, kind)
                steps[size] = TrainingStep(*parts, eager=True)
            step, rows = steps[size], self._index[row, i, :size]
            places = (rows, rows, rows + int(self.blocks[row, 0]))
            pairs = self.samples.pairs(step.batch, self.w)
            for (source, out), place in zip(pairs, places, strict=False):
                function, arguments = primitives.take(self.backend, source, place, out)
                function(*arguments)
            done = trainer.steps_done + i
            trainer.rule.write(trainer.rates.at(done), done + 1)
            step.run("gradients")
            if i < last:
                step.run("update")
        return step

    def _report(self, member: Member, i: int, x: Array, loss: float) -> None:
        """The error of a network that diverged in step i of the epoch."""
        trainer = member.trainer
        number = trainer.steps_done + i + 1
        if self.backend.is_host:
            trainer.steps_done += i
        member.error = divergence(trainer, SimpleNamespace(x=x), number, loss)
        trainer.stop = f"diverged: {member.error}"


def _in_order(members: Sequence[Member]) -> list[Member]:
    """Most samples first; networks of the same samples find them in the cache."""
    first: dict[int, int] = {}
    for i, member in enumerate(members):
        first.setdefault(id(member.rows), i)
    return sorted(members, key=lambda m: (-len(m.rows), first[id(m.rows)]))
