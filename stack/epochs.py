"""Several epochs of a stack in one go.

An epoch of many small networks takes less time than Python needs to draw their orders
and to write a row of each history, and in a longer one every thread waits for the last
at its end. So where nobody looks at the networks between epochs, some are prepared
together, and threads take turns at tiles: each takes its epochs without the others, and
the histories are written when all have. That changes no number.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np

from xpnet.execution import c_steps
from xpnet.execution.interrupt import Interrupt
from xpnet.execution.network_blocks import balanced, in_turns
from xpnet.execution.step import TrainingStep
from xpnet.stack.group import Cohort, Epoch, Values
from xpnet.stack.parameters import Lane
from xpnet.training.callbacks import max_epochs_between_calls
from xpnet.training.epochs import squaring

SPAN = 0.25  # seconds that epochs taken together last, about
ROUND = 0.01  # seconds between two looks at Ctrl-C, about
MOST = 1024  # epochs together


Closing = Callable[[int, int, int], object]  # of an epoch, for networks first ...


@dataclass(eq=False)
class Leg:
    """The batches of one size that a lane takes in an epoch.

    Attributes:
        lane, step: of the networks.
        first: the number of its first batch in an epoch.
        count: batches in an epoch.
        index: the samples of networks that are alike, (lists, epochs · count, batch).
        weighted: where the weights of all networks are, (networks, epochs · count,
            batch), or nothing.
        table: the numbers of the steps, (epochs · count, k, names).
        losses: of the steps, (epochs · count, k).
        steps: in C.
        tile: networks at a time, at most.
    """

    lane: Lane
    step: TrainingStep
    first: int
    count: int
    index: Values
    weighted: Values
    table: Values
    losses: Values
    steps: c_steps.Steps
    tile: int

    @property
    def linked(self) -> bool:
        """Whether `steps` are still those of the program."""
        program = self.step.program
        return program is not None and program.native is self.steps.native


class Tile:
    """Networks that take their epochs without the others.

    Args:
        legs: of an epoch, one behind the other.
        first: of the networks, of all.
        members: how many.
        closing: what is computed at the end of each epoch; None for nothing.

    Attributes:
        epoch: that comes next, or is under way.
    """

    def __init__(
        self, legs: Sequence[Leg], first: int, members: int, closing: Closing | None
    ) -> None:
        self._legs, self._first, self._members = legs, first, members
        self._closing = closing
        self.epoch = self._leg = self._done = 0

    def run(self, stop: int) -> bool:
        """Take the epochs before `stop`; False where a step's numbers are not finite,
        which has not had its update.
        """
        together = len(self._legs) == 1 and self._closing is None
        while self.epoch < stop:
            leg, first = self.leg, self._first - self.leg.lane.rows.start
            epochs = stop - self.epoch if together else 1
            end = (self.epoch + epochs) * leg.count
            reached = leg.steps.run(self._at, end, first, self._members)
            if reached < end:
                self.epoch, self._done = divmod(reached, leg.count)
                return False
            self._leg, self._done = (self._leg + 1) % len(self._legs), 0
            if self._leg == 0:
                if self._closing is not None:
                    self._closing(self.epoch, self._first, self._members)
                self.epoch += epochs
        return True

    def update(self) -> None:
        """The update of the step at which `run` has stopped."""
        self.leg.steps.update(self._at, self.among.start, self._members)
        self._done += 1

    @property
    def leg(self) -> Leg:
        """Where it is."""
        return self._legs[self._leg]

    @property
    def _at(self) -> int:
        """The number of the next step in its leg."""
        return self.epoch * self.leg.count + self._done

    @property
    def batch(self) -> int:
        """The number of the next step in its epoch."""
        return self.leg.first + self._done

    @property
    def among(self) -> range:
        """Its networks, as the lane of its leg counts them."""
        first = self._first - self.leg.lane.rows.start
        return range(first, first + self._members)


class Ahead:
    """Epochs of a cohort, several at a time.

    Args:
        cohort: on the CPU.
        room: for how many epochs.
        pool, threads: see `Tiles.run`.
    """

    def __init__(
        self, cohort: Cohort, room: int, pool: Executor | None, threads: int
    ) -> None:
        self._cohort, self._room = cohort, min(room, MOST)
        self._pool, self._threads = pool, threads
        self._legs: list[Leg] = []
        self._closing: Closing | None = None
        self._watched = any(member.callbacks for member in cohort.members)
        self._squares = np.zeros((0, len(cohort.members)))
        self._which = np.empty(len(cohort.members), np.int64)
        for at, networks in enumerate(cohort.alike):
            self._which[networks] = at

    def of(self, left: int, seconds: float) -> int:
        """How many of the `left` epochs are to be taken together now.

        Args:
            seconds: of an epoch, about; 0 where nobody knows.
        """
        few = min(left, self._room, int(SPAN / seconds)) if seconds else 1
        for member in self._cohort.members if self._watched else ():
            if not member.frozen:
                few = max_epochs_between_calls(member.callbacks, member.trainer, few)
        return few if few > 1 and self._ready() else 1

    def _ready(self) -> bool:
        """Whether every step is calls of C."""
        if not (self._legs and all(leg.linked for leg in self._legs)):
            self._legs = self._made()
            if self._legs and self._watched:
                self._closing = self._squaring()
                self._legs = self._legs if self._closing is not None else []
        return bool(self._legs)

    def _squaring(self) -> Closing | None:
        """What notes Σ W² of each network at the end of an epoch."""
        bank, native_ = self._cohort.bank, self._legs[0].steps.native
        weights = bank.buffers.params[:, : bank.buffers.layout.penalized]
        k = len(weights)
        squares = np.zeros((self._room, k, 1, 1), weights.dtype)
        op = squaring(weights, squares, k)
        if op is None:
            return None
        table, self._squares = native_.link([op]), squares.reshape((-1, k))

        def close(epoch: int, first: int, members: int) -> None:
            native_.library.run(table.address, table.count, first, members, epoch)

        return close

    def _made(self) -> list[Leg]:
        """The legs of an epoch; none where some of their steps are not calls of C."""
        cohort, room, found = self._cohort, self._room, []
        parts = [part for parts in cohort.plan for part in parts]
        where = [i for i, parts in enumerate(cohort.plan) for _ in parts]
        names = cohort.bank.trainers[0].rule.numbers.shape
        dtype = cohort.bank.buffers.dtype
        for part, count in Counter(parts).items():
            start, stop, size = part
            lane, k = cohort.bank.lane(start, stop), stop - start
            step = cohort.step(lane, size)
            if not _splits(step, k):
                return []
            steps = room * count
            index = np.empty((len(cohort.alike), steps, size), np.int64)
            weights = (len(self._which), steps, size) if cohort.w is not None else (0,)
            weighted = np.empty(weights, np.int64)
            table = np.empty((steps, k, *names), dtype)
            losses = np.empty((steps, k), dtype)
            lists = index, self._which, weighted
            tiles = cohort.linked(step, lane, *lists, table, losses)
            if tiles is None:
                return []
            arrays = (index, weighted, table, losses)
            first = where[parts.index(part)]
            found.append(
                Leg(lane, step, first, count, *arrays, tiles.steps, tiles.tile)
            )
        return found

    def run(self, count: int, seconds: float, interrupt: Interrupt) -> Iterator[Epoch]:
        """Take `count` epochs, of about `seconds` each, and fewer after Ctrl-C; what
        each gave, one by one.

        The trainers' counters are those of the epoch that is told of.
        """
        cohort, began = self._cohort, time.perf_counter()
        training, steps = cohort.training, cohort.steps.tolist()
        trainers = {i: cohort.members[i].trainer for i in training}
        before = {i: (t.steps_done, t.epochs_done) for i, t in trainers.items()}
        ended: dict[int, tuple[int, int]] = {}  # (epochs, steps) before it diverged

        def reach(epoch: int, telling: bool) -> None:
            squares = self._squares[epoch - 1].tolist() if telling else None
            for i, trainer in trainers.items():
                taken = (epoch, epoch * steps[i])
                epochs, done = min(taken, ended.get(i, taken))
                trainer.steps_done = before[i][0] + done
                trainer.epochs_done = before[i][1] + epochs
                trainer.square_then = None if squares is None else squares[i]

        self._prepare(count)
        tiles, done = self._tiles(), 0
        some = max(1, int(ROUND / seconds))
        try:
            done = self._take(tiles, count, some, interrupt)
            while stopped := [tile for tile in tiles if tile.epoch < done]:
                for tile in stopped:
                    ended |= self._part_with(tile)
                self._take(stopped, done, some)
            seconds = (time.perf_counter() - began) / done
            means = cohort.means(*self._read(done))
            for epoch in range(done):
                reach(epoch + 1, self._watched)
                first, last = epoch == 0, epoch == done - 1
                yield Epoch(
                    means[epoch],
                    cohort.counts,
                    len(cohort.plan) if interrupt.asked and last else None,
                    [i for i in training if i not in ended or ended[i][0] >= epoch],
                    {i for i, (epochs, _) in ended.items() if epochs == epoch},
                    seconds,
                    first,
                    last,
                )
        finally:  # also where a second Ctrl-C, or who is told, ends all
            reach(done or min(tile.epoch for tile in tiles), False)

    def _prepare(self, count: int) -> None:
        """The orders of the samples and the numbers of the steps."""
        cohort, size = self._cohort, self._cohort.batch_size
        for at, orders in enumerate(cohort.orders(count)):
            for leg, _ in self._of(cohort.alike[at]):
                begin = leg.first * size
                end = begin + leg.count * leg.index.shape[2]
                leg.index[at, : count * leg.count] = orders[:, begin:end].reshape(
                    (count * leg.count, -1)
                )
        steps = (count * cohort.steps).tolist()
        frozen = [member.frozen for member in cohort.members]
        for members, numbers in cohort.numbers.shared(steps, frozen):
            epochs = numbers.reshape((count, -1, numbers.shape[-1]))
            for leg, own in self._of(members):
                part = epochs[:, leg.first : leg.first + leg.count]
                leg.table[: count * leg.count, own] = part.reshape(
                    (count * leg.count, 1, -1)
                )
        for leg in self._legs if cohort.w is not None else ():
            taken, rows = slice(count * leg.count), leg.lane.rows
            index = leg.index[self._which[rows], taken]
            leg.weighted[rows, taken] = index + cohort.blocks[rows, :, None]

    def _of(self, members: Sequence[int]) -> Iterator[tuple[Leg, list[int]]]:
        """(leg, those of these networks that take it, as its lane counts them)."""
        for leg in self._legs:
            start, stop = leg.lane.rows.start, leg.lane.rows.stop
            own = [i - start for i in members if start <= i < stop]
            if own:
                yield leg, own

    def _tiles(self) -> list[Tile]:
        """The networks, a few at a time: they take the same legs."""
        rows = [leg.lane.rows for leg in self._legs]
        cuts = sorted({row for one in rows for row in (one.start, one.stop)})
        tiles = []
        for start, stop in pairwise(cuts):
            legs = [
                leg
                for leg in self._legs
                if leg.lane.rows.start <= start < leg.lane.rows.stop
            ]
            most = min(leg.tile for leg in legs)
            tile = balanced(stop - start, most, self._threads)
            tiles += [
                Tile(legs, first, min(tile, stop - first), self._closing)
                for first in range(start, stop, tile)
            ]
        return tiles

    def _take(
        self,
        tiles: Sequence[Tile],
        epochs: int,
        some: int,
        interrupt: Interrupt | None = None,
    ) -> int:
        """Take `epochs` epochs; how many all have taken, but where a step went wrong.

        A turn has `some` epochs. After Ctrl-C nobody begins one that nobody has begun.
        """
        left, lock = deque(tiles), Lock()
        end, begun = epochs, 1

        def next_turn() -> tuple[Tile, int] | None:
            nonlocal end, begun
            with lock:
                if interrupt is not None and interrupt.asked:
                    end = min(end, begun)
                while left:
                    tile = left.popleft()
                    if tile.epoch < end:
                        stop = min(tile.epoch + some, end)
                        begun = max(begun, stop)
                        return tile, stop
                return None

        def work() -> None:
            while turn := next_turn():
                tile, stop = turn
                if tile.run(stop):
                    left.append(tile)

        in_turns(work, left, self._pool, self._threads)
        return end

    def _part_with(self, tile: Tile) -> dict[int, tuple[int, int]]:
        """Freeze the networks of a tile whose step went wrong, and let it go on."""
        cohort, leg, epoch = self._cohort, tile.leg, tile.epoch
        taken = epoch * cohort.steps + tile.batch
        ended = cohort.part_with(leg.lane, leg.step, tile.among, taken)
        for i in ended:
            for other, (at,) in self._of([i]):
                other.table[:, at] = cohort.numbers.idle(i)
        tile.update()
        return {i: (epoch, taken) for i, taken in ended.items()}

    def _read(self, count: int) -> tuple[Values, Values]:
        """(losses (epochs, steps, k), weights of the batches (epochs, k, steps))."""
        cohort, k, steps = self._cohort, len(self._cohort.members), self._cohort.plan
        losses = np.zeros((count, len(steps), k), cohort.bank.buffers.dtype)
        weighted = cohort.w is not None
        shape = (count if weighted else 0, k, len(steps), cohort.batch_size)
        index = np.zeros(shape, np.int64)
        for leg in self._legs:
            rows, taken = leg.lane.rows, count * leg.count
            part = slice(leg.first, leg.first + leg.count)
            losses[:, part, rows] = leg.losses[:taken].reshape((count, leg.count, -1))
            if weighted:
                size = leg.index.shape[-1]
                orders = leg.index[self._which[rows], :taken]
                orders = orders.reshape((-1, count, leg.count, size))
                index[:, rows, part, :size] = np.swapaxes(orders, 0, 1)
        if weighted:
            return losses, np.stack([cohort.weights(one) for one in index])
        each = cohort.weights(None)
        return losses, np.broadcast_to(each, (count, *each.shape))


def _splits(step: TrainingStep, networks: int) -> bool:
    """Whether a step is calls of C, and its networks can take it one by one."""
    native = None if step.program is None else step.program.native
    return native is not None and (native.splits or networks == 1)
