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

import numpy as np

from xpnet.backend import Array
from xpnet.compiler import Program, tuning
from xpnet.compiler.c.call_table import NativeCall
from xpnet.execution import c_steps
from xpnet.execution.step import Batch, TrainingStep

NOTHING = np.zeros(0)


class NetworkBlocks:
    """The steps of consecutive networks for batches of one size.

    Args:
        steps: in C.
        count: of these networks.
        most: networks at a time, at most.
        takes: the calls that gather the samples of a batch.
    """

    def __init__(
        self,
        steps: c_steps.Steps,
        count: int,
        most: int,
        takes: Sequence[NativeCall] = (),
    ) -> None:
        self.steps, self.count, self.most, self._takes = steps, count, most, takes

    def read(self, sources: Sequence[Array]) -> None:
        """Gather from these arrays, of the rows' shape and dtype of those before."""
        for op, source in zip(self._takes, sources, strict=True):
            self.steps.read(op, source)

    def let_go(self) -> None:
        """Hold the samples no longer: `read` comes before the next run."""
        self.read([NOTHING] * len(self._takes))

    def run(
        self,
        start: int,
        stop: int,
        networks: Sequence[int],
        pool: Executor | None,
        threads: int,
    ) -> Iterator[tuple[int, range]]:
        """Take steps start .. stop - 1; yields (step, networks) of each one that went
        wrong for some of these networks, between its gradients and its update.

        Args:
            start, stop: the steps.
            networks: those that are trained.
            pool: of threads - 1 other threads; None where there are none.
            threads: that take blocks in turn, this one among them.
        """
        ended: list[tuple[int, int, int]] = []

        def take(first: int, count: int) -> None:
            ended.append((first, count, self.steps.run(start, stop, first, count)))

        if not self.steps.native.splits:
            networks = range(self.count)
        block_by_block(take, networks, self.most, pool, threads)
        for first, count, at in sorted(ended):
            while at < stop:
                yield at, range(first, first + count)
                self.steps.update(at, first, count)
                at = self.steps.run(at + 1, stop, first, count)


def block_by_block(
    take: Callable[[int, int], object],
    networks: Sequence[int],
    most: int,
    pool: Executor | None,
    threads: int,
) -> None:
    """Let threads take these networks, each in its turn the next `most` or fewer.

    Args:
        take: of (the first of them, how many).
        networks, pool, threads: see `NetworkBlocks.run`.
        most: networks at a time.
    """
    left = deque(cut(networks, most, threads))

    def work() -> None:
        while left:
            try:
                block = left.popleft()
            except IndexError:  # another thread was faster
                return
            take(block.start, len(block))

    in_turns(work, left, pool, threads)


def in_turns(
    work: Callable[[], None], left: deque[Any], pool: Executor | None, threads: int
) -> None:
    """Let threads do `work`, this one among them, until all have ended.

    Args:
        work: takes from `left` until nothing is; where it raises, the others' turns
            are the last.
        pool, threads: see `NetworkBlocks.run`.
    """
    others = range(1, min(threads, len(left)))
    waiting = [] if pool is None else [pool.submit(work) for _ in others]
    try:
        work()
    finally:
        left.clear()
        wait(waiting)
    for other in waiting:
        other.result()


def network_blocks(
    step: TrainingStep,
    grads: Array,
    losses: Array,
    gathers: Sequence[tuple[Array, Array, Array, Array, int]],
    copies: Sequence[tuple[Array, Array, tuple[int, int]]],
    held: int,
) -> NetworkBlocks | None:
    """The steps of consecutive networks in C; None where parts of them are not C.

    Args:
        step: the program of all networks.
        grads: (k, n).
        losses: where they are kept, (steps, k).
        gathers: (samples, lists of rows of step 0, where they go, the list of each
            network, bytes to the next rows).
        copies: (source, where it goes, bytes of each to the next step).
        held: bytes of a network's parameters and of all that its update keeps.
    """
    program = step.program
    if program is None or not c_steps.possible(program.native):
        return None
    found = [c_steps.take(*gather) for gather in gathers]
    takes = [one for one in found if one is not None]
    if len(takes) < len(found):
        return None
    first = [*takes, *(c_steps.copy(a, b, True, by) for a, b, by in copies)]
    steps = c_steps.Steps(program.native, first, step.loss, losses, grads)
    count = len(grads)
    most = in_cache(program, step.batch, held, count)
    return NetworkBlocks(steps, count, most if program.native.splits else count, takes)


def in_cache(program: Program, batch: Batch, held: int, count: int) -> int:
    """Networks whose memory a core's caches hold, at least one.

    Args:
        program, batch: of `count` networks.
        held: bytes of a network besides.
    """
    own = held + (program.nbytes + int(batch.x.nbytes)) // count
    return max(1, tuning.NETWORK_BLOCK_BYTES // own)


def cut(networks: Sequence[int], most: int, threads: int) -> list[range]:
    """Consecutive ones of these networks, so many at a time that threads share them.

    Args:
        networks: their numbers, rising.
        most, threads: see `balanced`.
    """
    size = balanced(len(networks), most, threads) if len(networks) else 1
    found: list[range] = []
    for i in networks:
        if found and found[-1].stop == i and len(found[-1]) < size:
            found[-1] = range(found[-1].start, i + 1)
        else:
            found.append(range(i, i + 1))
    return found


def balanced(count: int, most: int, threads: int) -> int:
    """Networks a block, `most` at most, so that the threads end together or nearly so.

    A thread that takes ⌈⌈count / block⌉ / threads⌉ blocks is the last to end.
    """
    if threads == 1 and most >= count:
        return count
    sizes = range(min(most, count), 0, -1)
    return min(sizes, key=lambda block: ceil(ceil(count / block) / threads) * block)
