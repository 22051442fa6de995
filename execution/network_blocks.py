"""Steps of a stack in C, a few networks at a time.

The networks of a stack do not know of each other. So a few of them, as many as the
cache holds with all that a step of theirs touches, take many steps in a row before the
next few begin, and every step finds its numbers where the last one has left them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, wait
from math import ceil
from typing import Any

from xpnet.backend import Array
from xpnet.compiler import Program
from xpnet.execution import c_steps
from xpnet.execution.step import Batch, TrainingStep

CACHE = 2 << 20  # bytes of a core's caches that a tile may take


class Tiles:
    """The steps of one lane for batches of one size.

    Args:
        steps: in C.
        count: networks of the lane.
        tile: networks at a time.
    """

    def __init__(self, steps: c_steps.Steps, count: int, tile: int) -> None:
        self.steps, self.count, self.tile = steps, count, tile

    def run(
        self, start: int, stop: int, pool: Executor | None, threads: int
    ) -> Iterator[tuple[int, range]]:
        """Take steps start .. stop - 1; yields (step, networks) of each one that went
        wrong for some of these networks, between its gradients and its update.

        Args:
            start, stop: the steps.
            pool: of threads - 1 other threads; None where there are none.
            threads: that take tiles in turn, this one among them.
        """
        ended: list[tuple[int, int, int]] = []

        def take(first: int, members: int) -> None:
            ended.append((first, members, self.steps.run(start, stop, first, members)))

        tile_by_tile(take, self.count, self.tile, pool, threads)
        for first, members, at in sorted(ended):
            while at < stop:
                yield at, range(first, first + members)
                self.steps.update(at, first, members)
                at = self.steps.run(at + 1, stop, first, members)


def tile_by_tile(
    take: Callable[[int, int], object],
    count: int,
    tile: int,
    pool: Executor | None,
    threads: int,
) -> None:
    """Let threads take networks 0 .. count - 1, each in its turn the next `tile`.

    Args:
        take: of (the first of them, how many).
        pool, threads: see `Tiles.run`.
    """
    left = deque(range(0, count, tile))

    def work() -> None:
        while left:
            try:
                first = left.popleft()
            except IndexError:  # another thread was faster
                return
            take(first, min(tile, count - first))

    in_turns(work, left, pool, threads)


def in_turns(
    work: Callable[[], None], left: deque[Any], pool: Executor | None, threads: int
) -> None:
    """Let threads do `work`, this one among them, until all have ended.

    Args:
        work: takes from `left` until nothing is; where it raises, the others' turns
            are the last.
        pool, threads: see `Tiles.run`.
    """
    helpers = range(1, min(threads, len(left)))
    waiting = [] if pool is None else [pool.submit(work) for _ in helpers]
    try:
        work()
    finally:
        left.clear()
        wait(waiting)
    for other in waiting:
        other.result()


def tiles(
    step: TrainingStep,
    grads: Array,
    losses: Array,
    gathers: Sequence[tuple[Array, Array, Array, Array, int]],
    copies: Sequence[tuple[Array, Array, tuple[int, int]]],
    held: int,
    threads: int,
) -> Tiles | None:
    """The steps of a lane in C; None where they are not calls of C from end to end.

    Args:
        step: the program of all networks.
        grads: (k, n).
        losses: where they are kept, (steps, k).
        gathers: (samples, lists of rows of step 0, where they go, the list of each
            network, bytes to the next rows).
        copies: (source, where it goes, bytes of each to the next step).
        held: bytes of a network's parameters and of all that its update keeps.
        threads: that are to share the networks.
    """
    program = step.program
    if program is None or not c_steps.possible(program.native):
        return None
    takes = [c_steps.take(*gather) for gather in gathers]
    if None in takes:
        return None
    first = [*takes, *(c_steps.copy(a, b, True, by) for a, b, by in copies)]
    steps = c_steps.Steps(program.native, first, step.loss, losses, grads)
    count = len(grads)
    most = in_cache(program, step.batch, held, count)
    most = most if program.native.splits else count
    return Tiles(steps, count, balanced(count, most, threads))


def in_cache(program: Program, batch: Batch, held: int, count: int) -> int:
    """Networks whose memory a core's caches hold, at least one.

    Args:
        program, batch: of `count` networks.
        held: bytes of a network besides.
    """
    own = held + (program.nbytes + int(batch.x.nbytes)) // count
    return max(1, CACHE // own)


def balanced(count: int, most: int, threads: int) -> int:
    """Networks a tile, `most` at most, so that the threads end together or nearly so.

    A thread that takes ⌈⌈count / tile⌉ / threads⌉ tiles is the last to end.
    """
    sizes = range(min(most, count), 0, -1)
    return min(sizes, key=lambda tile: ceil(ceil(count / tile) / threads) * tile)
