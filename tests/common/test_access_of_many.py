"""Several models that are read, or trained, together."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from xpnet.common.access import Access, Reading, Training


def refused(access):
    """Whether another thread may not change it."""

    def enter():
        with access.changing:
            return False

    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(enter).result(60)
        except RuntimeError:
            return True


def test_all_are_trained_or_none():
    first, second = Access(), Access()
    with Training([first, second], apart=True):
        assert refused(first)
        assert refused(second)
        with ThreadPoolExecutor(1) as pool:
            third = Access()
            start = pool.submit(lambda: Training([third, second]).__enter__())
            with pytest.raises(RuntimeError, match="another thread"):
                start.result(60)
        assert not third._trainings  # which it had begun
    assert not refused(first)
    assert not refused(second)


def test_a_reader_of_several_leaves_all():
    models = [Access(), Access()]
    with Reading(models), Reading(models[1:]):
        assert [len(one._readers) for one in models] == [1, 1]
    assert not any(one._readers for one in models)
    for one in models:
        with one.writing:
            pass


def test_a_reader_that_gives_up_has_entered_none():
    first, second = Access(), Access()

    def stop():
        raise KeyboardInterrupt

    second._writer, second._wait_to_read = -1, stop
    with pytest.raises(KeyboardInterrupt), Reading([first, second]):
        pass
    assert not first._readers
