"""Steps of a stack in C, a few networks at a time.

The networks of a stack do not know of each other. So a few of them, as many as the
cache holds with all that a step of theirs touches, take many steps in a row before the
next few begin, and every step finds its numbers where the last one has left them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from math import ceil
from threading import Lock

from xpnet.compiler import Program, tuning
from xpnet.execution.batch import Batch
from xpnet.execution.interrupt import Interrupt

# Takes steps start .. stop - 1 of networks first, first + 1, ...: see `StepBlock.run`.
Run = Callable[[int, int, int, int], int]
Close = Callable[[int, int, int], object]


class NetworkBlock:
    """Networks that take their steps without the others.

    Args:
        run: of (start, stop, first, networks), see `StepBlock.run`.
        networks: their numbers.
        start: the first step.
        close: of (epoch, first, networks): what `run` does at the end of an epoch.

    Attributes:
        reached: the step that comes next.
    """

    def __init__(
        self, run: Run, networks: range, start: int = 0, close: Close | None = None
    ) -> None:
        self._run, self.networks, self.reached = run, networks, start
        self._close = close

    def run(self, stop: int) -> bool:
        """Take the steps before `stop`; False where one's numbers are not finite,
        which has not had its update.
        """
        of = (self.networks.start, len(self.networks))
        self.reached = self._run(self.reached, stop, *of)
        return self.reached == stop

    def skip(self, each: int) -> None:
        """Go past a step that was taken elsewhere, of an epoch of `each` steps."""
        self.reached += 1
        if self._close is not None and self.reached % each == 0:
            epoch = self.reached // each - 1
            self._close(epoch, self.networks.start, len(self.networks))


def take_turns(
    blocks: Sequence[NetworkBlock],
    stop: int,
    turn: int,
    pool: Executor | None,
    threads: int,
    interrupt: Interrupt | None = None,
) -> int:
    """Let threads take blocks in turn to step `stop`, each `turn` steps at a time.

    Where a turn raises, those that others have begun are the last.

    Args:
        blocks, stop, turn: see above.
        pool: of threads - 1 other threads; None where there are none.
        threads: that take turns, this one among them.
        interrupt: after Ctrl-C only turns are taken that others have begun.

    Returns:
        The step that all have come to, but where a step went wrong.
    """
    left, lock = deque(blocks), Lock()
    end, begun = stop, min([block.reached for block in blocks], default=0) + turn

    def next_turn() -> tuple[NetworkBlock, int] | None:
        nonlocal end, begun
        with lock:
            if interrupt is not None and interrupt.asked:
                end = min(end, begun)
            while left:
                block = left.popleft()
                if block.reached < end:
                    to = min(block.reached + turn, end)
                    begun = max(begun, to)
                    return block, to
            return None

    def work() -> None:
        while found := next_turn():
            block, to = found
            if block.run(to):
                left.append(block)

    others = range(1, min(threads, len(left)))
    waiting = [] if pool is None else [pool.submit(work) for _ in others]
    try:
        work()
    except BaseException:
        with lock:
            end = 0  # those that others have begun are the last
        raise
    finally:
        wait(waiting)
    for other in waiting:
        other.result()
    return end


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
        networks, pool, threads: see `take_turns`.
        most: networks at a time.
    """

    def run(start: int, stop: int, first: int, count: int) -> int:
        take(first, count)
        return stop

    blocks = [NetworkBlock(run, some) for some in cut(networks, most, threads)]
    take_turns(blocks, 1, 1, pool, threads)


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
