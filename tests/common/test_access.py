"""Readers side by side, writers alone, and nothing that waits for ever."""

import copy
import itertools
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from xpnet.common.access import Access

LONG = 30.0  # seconds after which a wait counts as one for ever


def in_thread(function):
    """A started thread whose result is waited for with `.result(LONG)`."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future


def entered(context, inside=None, leave=None):
    """A function that enters `context`, tells, and stays until it may leave."""

    def run():
        with context:
            if inside is not None:
                inside.set()
            if leave is not None:
                assert leave.wait(LONG)
        return True

    return run


def test_readers_are_in_side_by_side():
    access, both = Access(), threading.Barrier(2)

    def read():
        with access.reading:
            both.wait(LONG)

    for one in [in_thread(read), in_thread(read)]:
        one.result(LONG)


ORDERS = [
    ("reading", "writing"), ("reading", "changing"), ("writing", "reading"),
    ("writing", "writing"), ("writing", "changing"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), ORDERS)
def test_a_writer_is_alone(first, second):
    access, inside, leave = Access(), threading.Event(), threading.Event()
    one = in_thread(entered(getattr(access, first), inside, leave))
    assert inside.wait(LONG)
    came = threading.Event()
    other = in_thread(entered(getattr(access, second), came))
    assert not came.wait(0.02)
    leave.set()
    assert one.result(LONG)
    assert other.result(LONG)


def test_a_thread_may_enter_again():
    for outer, inner in itertools.product(("reading", "writing", "changing"), repeat=2):
        access = Access()
        with getattr(access, outer):
            with getattr(access, inner), getattr(access, inner):
                pass
            if outer != "reading":
                with access.reading:
                    pass
        for after in (access.reading, access.writing):  # nothing is left entered
            assert in_thread(entered(after)).result(LONG)


def test_neither_readers_nor_a_writer_wait_for_ever():
    access, stop, counts = Access(), threading.Event(), [0, 0, 0]

    def again(at, context):
        while not stop.is_set():
            with context:
                counts[at] += 1

    contexts = (access.reading, access.reading, access.writing)
    work = [in_thread(lambda a=a, c=c: again(a, c)) for a, c in enumerate(contexts)]
    end = time.monotonic() + LONG
    while min(counts) < 20 and time.monotonic() < end:
        time.sleep(0.001)
    stop.set()
    for one in work:
        one.result(LONG)
    assert min(counts) >= 20


def test_a_total_that_writers_count_is_right_and_readers_see_it_whole():
    access, pair, torn = Access(), [0, 0], []

    def write():
        for _ in range(300):
            with access.writing:
                pair[0] += 1
                time.sleep(0)
                pair[1] += 1

    def read():
        for _ in range(300):
            with access.reading:
                torn.append(pair[0] != pair[1])

    for one in [in_thread(f) for f in (write, write, read, read)]:
        one.result(LONG)
    assert pair == [600, 600]
    assert not any(torn)


def test_while_one_thread_trains_another_may_read_and_not_change():
    access = Access()

    def other(context):
        return in_thread(entered(context))

    with access.training():
        with access.changing, access.training():
            pass
        assert other(access.reading).result(LONG)
        for refused in (access.changing, access.training()):
            with pytest.raises(RuntimeError, match="trained in another thread"):
                other(refused).result(LONG)
        in_thread(access.check_whole).result(LONG)
        with access.training(apart=True):
            access.check_whole()
            with pytest.raises(RuntimeError, match="trained in another thread"):
                in_thread(access.check_whole).result(LONG)
    assert other(access.changing).result(LONG)


def test_a_reader_and_a_writer_that_give_up_leave_nothing_behind(monkeypatch):
    for held, wanted in (("writing", "reading"), ("reading", "writing")):
        access, inside, leave = Access(), threading.Event(), threading.Event()
        holder = in_thread(entered(getattr(access, held), inside, leave))
        assert inside.wait(LONG)

        def interrupted():
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(access._moved, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt), getattr(access, wanted):
                pass
        leave.set()
        assert holder.result(LONG)
        for after in (access.reading, access.writing):
            assert in_thread(entered(after)).result(LONG)


def test_a_copy_has_an_access_of_its_own():
    access = Access()
    with access.writing:
        for other in (copy.deepcopy(access), pickle.loads(pickle.dumps(access))):
            assert in_thread(entered(other.writing)).result(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("held", ["reading", "writing", "training"])
def test_a_child_waits_for_no_thread_of_its_parent(held):
    access, inside, leave = Access(), threading.Event(), threading.Event()
    with access.training() if held == "training" else getattr(access, held):
        assert _child(access) == 0
    context = access.training() if held == "training" else getattr(access, held)
    holder = in_thread(entered(context, inside, leave))
    assert inside.wait(LONG)
    try:
        assert _child(access) == 0
    finally:
        leave.set()
    assert holder.result(LONG)


def _child(access):
    """The exit status of a child that reads and changes."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        with access.reading:
            pass
        with access.changing:
            pass
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
