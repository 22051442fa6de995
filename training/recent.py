"""The recorded steps that were used last: enough to find them again, and no more."""

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from xpnet.common.access import renew_after_fork
from xpnet.compiler import Program
from xpnet.compiler.buffers import FREED
from xpnet.execution.batch import Batch

FEWEST = 1  # steps that are kept whatever they hold
MOST = 32  # steps that are kept if they hold little
ROOM = 8 << 20  # bytes that several may hold together
OBJECTS = 1 << 17  # bytes of a step's Python objects, about


class Recorded(Protocol):
    """A step for one kind of batch."""

    batch: Batch

    @property
    def program(self) -> Program | None:
        """What is replayed."""


K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=Recorded)


class Recent(Generic[K, S]):
    """Steps by kind; the one that was not used for longest is the first to go.

    There may be several of a kind: each thread that predicts takes one for itself, and
    puts it back.
    """

    def __init__(self) -> None:
        self._pinned: frozenset[K] = frozenset()
        self._kept: list[tuple[K, S, int]] = []  # with its bytes; the newest is last
        self._held = 0  # bytes of all of them
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """A new lock."""
        self._lock = Lock()

    def __reduce__(self) -> Any:
        return Recent, ()  # recorded steps are bound to their arrays, and stay behind

    def __iter__(self) -> Iterator[S]:
        return iter([step for _, step, _ in self._kept])

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, kind: K) -> S | None:
        """A step of this kind, which is kept no longer; None where there is none."""
        with self._lock:
            for at in range(len(self._kept) - 1, -1, -1):
                if self._kept[at][0] == kind:
                    _, step, nbytes = self._kept.pop(at)
                    self._held -= nbytes
                    return step
        return None

    def put(self, kind: K, step: S) -> None:
        """Keep a step, and let others go where they are too many."""
        with self._lock:
            nbytes = _bytes(step)
            self._kept.append((kind, step, nbytes))
            self._held += nbytes
            gone = self._too_many()
        if gone:
            freed = sum(nbytes for _, _, nbytes in gone)
            gone.clear()
            FREED.add(freed)

    def _too_many(self) -> list[tuple[K, S, int]]:
        """Let the oldest go that are too many."""
        gone: list[tuple[K, S, int]] = []
        if len(self._kept) <= MOST and self._held <= ROOM:
            return gone
        for one in self._kept[:-FEWEST]:
            if len(self._kept) <= MOST and self._held <= ROOM:
                break
            if one[0] not in self._pinned:
                self._kept.remove(one)
                self._held -= one[2]
                gone.append(one)
            del one
        return gone

    def get(self, kind: K) -> S | None:
        """A step of this kind, which stays and is now the newest."""
        if self._kept and self._kept[-1][0] == kind:
            return self._kept[-1][1]
        step = self.take(kind)
        if step is not None:
            self.put(kind, step)
        return step

    @contextmanager
    def keeping(self, kinds: Iterable[K]) -> Iterator[None]:
        """Within the block these kinds are kept in any case."""
        before = self._pinned
        self._pinned = before | frozenset(kinds)
        try:
            yield
        finally:
            self._pinned = before

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._kept.clear()
            self._held = 0


def _bytes(step: Recorded) -> int:
    """What a step holds, about."""
    batch, program = step.batch, step.program
    return OBJECTS + int(batch.x.nbytes) + (0 if program is None else program.nbytes)
