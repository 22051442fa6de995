"""The threads of NumPy's BLAS, asked and set."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from xpnet.backend import blas

counted = pytest.mark.skipif(blas.openblas() is None, reason="NumPy has no OpenBLAS")


def told():
    """What threadpoolctl says of the library that NumPy multiplies with."""
    pools = ThreadpoolController().select(user_api="blas").info()
    own = [pool for pool in pools if "numpy" in pool["filepath"]]
    return max(int(pool["num_threads"]) for pool in own or pools)


@pytest.fixture(params=["asked directly", "through threadpoolctl"])
def found(request, monkeypatch):
    if request.param.startswith("through"):
        monkeypatch.setattr(blas, "openblas", lambda: None)
        blas._told_threads.cache_clear()
        yield None
        blas._told_threads.cache_clear()
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
            assert told() == 1
            with blas.one_thread():
                assert told() == 1
            assert told() == 1
        assert told() == 2
        with pytest.raises(LookupError), blas.one_thread():
            raise LookupError
        assert told() == 2


@counted
def test_the_number_outside_is_told_within():
    with threadpool_limits(2, "blas"), blas.one_thread():
        assert told() == 1
        assert blas.blas_threads() == 2  # what others decide by


@counted
def test_the_last_to_leave_gives_the_threads_back():
    with threadpool_limits(2, "blas"):
        first, second = blas.one_thread(), blas.one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert told() == 1
        second.__exit__(None, None, None)
        assert told() == 2


def test_blas_that_has_one_thread_is_left_alone(found):
    with threadpool_limits(1, "blas"):
        with blas.one_thread():
            assert told() == 1
        assert told() == 1


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
