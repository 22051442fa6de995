"""The threads of NumPy's BLAS, asked and set."""

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import OpenBLASController, ThreadpoolController, threadpool_limits

from xpnet.backend import blas

NAMES = ("get_num_threads", "set_num_threads")
counted = pytest.mark.skipif(blas.openblas() is None, reason="NumPy has no OpenBLAS")


def told():
    """What threadpoolctl says of the library that NumPy multiplies with."""
    pools = ThreadpoolController().select(user_api="blas").info()
    own = [pool for pool in pools if "numpy" in pool["filepath"]]
    return max(int(pool["num_threads"]) for pool in own or pools)


def within():
    """How many threads it has now."""
    return told() if blas.openblas() is None else blas.openblas().get()


@pytest.fixture(params=["asked directly", "through threadpoolctl"])
def found(request, monkeypatch):
    if request.param.startswith("through"):
        monkeypatch.setattr(blas, "openblas", lambda: None)
        blas._through_threadpoolctl.cache_clear()
        yield None
        blas._through_threadpoolctl.cache_clear()
        return
    if blas.openblas() is None:
        pytest.skip("NumPy has no OpenBLAS")
    yield blas.openblas()


def test_the_number_is_that_of_numpys_own_library(found):
    with threadpool_limits(2, "blas"):
        assert blas.blas_threads() == told() == 2


def test_one_thread_within_the_block_and_as_many_as_before_behind_it(found):
    with threadpool_limits(2, "blas"):
        with blas.one_thread():
            assert within() == 1
            with blas.one_thread():
                assert within() == 1
            assert within() == 1
        assert told() == within() == 2
        with pytest.raises(LookupError), blas.one_thread():
            raise LookupError
        assert told() == 2


@counted
def test_the_number_outside_is_told_within():
    with threadpool_limits(2, "blas"), blas.one_thread():
        assert within() == 1
        assert told() == blas.blas_threads() == 2  # what others decide by


@counted
def test_the_last_to_leave_gives_the_threads_back():
    with threadpool_limits(2, "blas"):
        first, second = blas.one_thread(), blas.one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert within() == 1
        second.__exit__(None, None, None)
        assert within() == 2


def free():
    """Newer versions of threadpoolctl obey one thread only, until it is freed."""
    name = "clear_controlling_thread"
    getattr(OpenBLASController, name, lambda force: None)(force=True)


ORDERS = ["within", "around", "enters first", "leaves last"]


@counted
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_of_another_thread_and_one_thread_part_in_any_order(order, limit):
    ours, theirs = blas.one_thread(), None
    with threadpool_limits(4, "blas"):
        steps = {
            "within": ["ours", "theirs", "not theirs", "not ours"],
            "around": ["theirs", "ours", "not ours", "not theirs"],
            "enters first": ["theirs", "ours", "not theirs", "not ours"],
            "leaves last": ["ours", "theirs", "not ours", "not theirs"],
        }[order]
        ended = 0
        for step in steps:
            if step == "ours":
                ours.__enter__()
            elif step == "theirs":
                free()
                theirs = threadpool_limits(limit, "blas")
            elif step == "not ours":
                ours.__exit__(None, None, None)
                ended += 1
                assert within() == (4 if ended == 2 else limit)
            else:
                theirs.restore_original_limits()
                ended += 1
        assert within() == told() == 4


@counted
def test_what_is_set_past_threadpoolctl_stays():
    own = blas.openblas()
    with threadpool_limits(4, "blas"):
        with blas.one_thread():
            own.set(2)
        assert own.get() == 2
        own.set(4)


def test_blas_that_has_one_thread_is_left_alone(found):
    with threadpool_limits(1, "blas"):
        with blas.one_thread():
            assert within() == 1
        assert within() == 1


def test_a_numpy_of_another_make_has_no_openblas(monkeypatch):
    def missing(name):
        raise ImportError(name)

    blas.openblas.cache_clear()
    monkeypatch.setattr(blas.importlib, "import_module", missing)
    try:
        assert blas.openblas() is None
        monkeypatch.setattr(blas.importlib, "import_module", lambda name: np)
        assert blas.openblas() is None  # a module that no linker has made
    finally:
        blas.openblas.cache_clear()


@counted
def test_threads_that_enter_at_once_change_threadpoolctl_once(monkeypatch):
    before = OpenBLASController.get_num_threads, OpenBLASController.set_num_threads
    for name, function in zip(NAMES, before, strict=True):
        monkeypatch.setattr(OpenBLASController, name, inspect.unwrap(function))
    blas._tell_the_number_outside.cache_clear()
    at_once, real = threading.Barrier(4), OpenBLASController.set_num_threads

    def enter(i):
        at_once.wait(30.0)
        with blas.one_thread():
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert OpenBLASController.set_num_threads.__wrapped__ is real
