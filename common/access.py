"""Who may touch shared arrays now: any number of readers, or one thread that writes.

    with access.reading: ...      beside other readers, between two writings
    with access.writing: ...      alone; may read and write within
    with access.changing: ...     likewise, and refused while another thread trains
    with access.training(): ...   from here on only this thread may change anything

Readers and writers take turns: a writer waits for the readers that are in, and the
readers that came meanwhile are next. A thread may enter again what it is in.
"""

import os
from collections.abc import Iterable
from threading import Condition, Lock, RLock, get_ident
from typing import Any
from weakref import WeakSet

_RENEWED: WeakSet[Any] = WeakSet()


def renew_after_fork(thing: Any) -> None:
    """Let `thing.renew()` be called in a child: a lock may be held there for ever."""
    _RENEWED.add(thing)


def _renew() -> None:
    for thing in list(_RENEWED):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class Access:
    """See above.

    Attributes:
        reading, writing, changing: contexts.
        recording: a lock for what may happen beside readers, but only once at a time.
    """

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}  # thread -> how often it has entered
        self._writer = self._depth = 0  # the thread, and how often it has entered
        self._trainer = self._trainings = 0  # likewise
        self._apart = False
        self.renew()
        self.reading, self.writing = Reading([self]), _Writing(self, False)
        self.changing = _Writing(self, True)
        renew_after_fork(self)

    def __reduce__(self) -> Any:
        return Access, ()  # a copy of what it guards has one of its own

    def renew(self) -> None:
        """New locks; of what is entered, only what this thread has."""
        me = get_ident()
        self._readers = {who: n for who, n in self._readers.items() if who == me}
        self._writer = me if self._writer == me else 0
        self._trainer = me if self._trainer == me else 0
        self._lock, self.recording = Lock(), RLock()
        self._moved = Condition(self._lock)
        self._turn = 0  # writings that have ended
        self._waiting = 0  # readers that wait for the end of a writing
        self._admitted = 0  # readers that it has let in, and that are not yet
        self._wanted = 0  # writers that wait

    def check(self) -> None:
        """Raises RuntimeError while another thread trains."""
        if self._trainer and self._trainer != get_ident():
            raise RuntimeError(
                "this model is being trained in another thread: only that one may "
                "change it; wait until its fit has ended, or train a copy "
                "(Trainer.load of a saved one)"
            )

    def check_whole(self) -> None:
        """Raises RuntimeError while another thread trains it as part of a stack."""
        if self._apart:
            self.check()

    def training(self, apart: bool = False) -> "Training":
        """Within the block only this thread may change anything, see `Training`."""
        return Training([self], apart)

    def _others_read(self, me: int) -> bool:
        return any(reader != me for reader in self._readers)

    def _wait_to_read(self) -> None:
        turn = self._turn
        self._waiting += 1
        try:
            while turn == self._turn and (self._writer or self._wanted):
                self._moved.wait()
        finally:
            if turn == self._turn:
                self._waiting -= 1
            else:
                self._admitted -= 1
                self._moved.notify_all()

    def _write(self, checked: bool) -> None:
        me = get_ident()
        if checked:
            self.check()
        if self._writer == me:
            self._depth += 1
            return
        if self._writer or self._admitted or self._others_read(me):
            self._wait_to_write(me)
            if checked:
                self.check()
        self._writer, self._depth = me, 1

    def _wait_to_write(self, me: int) -> None:
        self._wanted += 1
        try:
            while self._writer or self._admitted or self._others_read(me):
                self._moved.wait()
        finally:
            self._wanted -= 1
            self._moved.notify_all()  # readers, should this thread give up

    def _let_in(self) -> None:
        """The readers that have waited for the end of this writing."""
        with self._lock:
            if not self._writer:  # else it is that one which lets them in
                self._turn += 1
                self._admitted += self._waiting
                self._waiting = 0
                self._moved.notify_all()


class Training:
    """Within the block only this thread may change anything.

    Args:
        accesses: of all models that it trains.
        apart: whether the newest values are elsewhere meanwhile.

    Raises:
        RuntimeError: another thread trains one of them.
    """

    def __init__(self, accesses: Iterable[Access], apart: bool = False) -> None:
        self._accesses, self._apart = accesses, apart
        self._begun: list[tuple[Access, bool]] = []

    def __enter__(self) -> None:
        try:
            for access in self._accesses:
                with access._lock:
                    if access._trainer:
                        access.check()
                    self._begun.append((access, access._apart))
                    access._trainer = get_ident()
                    access._trainings += 1
                    access._apart = access._apart or self._apart
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        for access, before in reversed(self._begun):
            with access._lock:
                access._trainings, access._apart = access._trainings - 1, before
                if not access._trainings:
                    access._trainer = 0


class Reading:
    """The context of a reader.

    Args:
        accesses: of all models that it reads.
    """

    def __init__(self, accesses: Iterable[Access]) -> None:
        # In one order for all threads, which hold some while they wait for others.
        self._accesses = sorted(accesses, key=id)

    def __enter__(self) -> None:
        me, entered = get_ident(), 0
        try:
            for access in self._accesses:
                with access._lock:
                    if me in access._readers:
                        access._readers[me] += 1
                    else:
                        if me != access._writer and (access._writer or access._wanted):
                            access._wait_to_read()
                        access._readers[me] = 1
                entered += 1
        except BaseException:
            self._leave(entered)
            raise

    def __exit__(self, *error: object) -> None:
        self._leave(len(self._accesses))

    def _leave(self, entered: int) -> None:
        me = get_ident()
        for access in self._accesses[:entered]:
            with access._lock:
                left = access._readers.pop(me) - 1
                if left:
                    access._readers[me] = left
                elif access._wanted:
                    access._moved.notify_all()


class _Writing:
    """The context of a writer."""

    def __init__(self, access: Access, checked: bool) -> None:
        self._access, self._checked = access, checked

    def __enter__(self) -> None:
        access = self._access
        with access._lock:
            # Once a step: nothing is called where nothing else is going on.
            if access._trainer or access._writer or access._admitted or access._readers:
                access._write(self._checked)
            else:
                access._writer, access._depth = get_ident(), 1

    def __exit__(self, *error: object) -> None:
        access = self._access
        access._depth -= 1
        if not access._depth:
            # Without the lock: who comes now counts itself before it looks at this.
            access._writer = 0
            if access._waiting or access._wanted:
                access._let_in()
