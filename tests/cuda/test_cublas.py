"""The library is called as its header says; what it answers becomes one message."""

import ctypes
import gc
import sys

import numpy as np
import pytest

from tests.cuda import emulated_gemm
from tests.cuda.test_products import OnDevice
from tests.standin import cupy
from xpnet.backend import cuda_status
from xpnet.compiler import tuning
from xpnet.compiler.cuda import cublas
from xpnet.compiler.cuda.cublas import Cublas, CublasError
from xpnet.compiler.cuda.gemm import Gemm


class Function:
    """A function of the library that converts its arguments as ctypes does."""

    def __init__(self, name, library):
        self.name, self.library = name, library

    def __call__(self, *arguments):
        assert self.restype is ctypes.c_int
        assert len(arguments) == len(self.argtypes), self.name
        for kind, value in zip(self.argtypes, arguments, strict=True):
            if kind is not ctypes.POINTER(ctypes.c_void_p):
                kind.from_param(value)  # raises where ctypes would
        plain = [getattr(value, "value", value) for value in arguments]
        if self.name in cublas.FACTORS:
            kind = ctypes.c_double if plain[-2] == 70 else ctypes.c_float
            for at in cublas.FACTORS[self.name]:
                plain[1 + at] = kind.from_address(plain[1 + at]).value
            if self.name not in self.library.fails:
                emulated_gemm.call(self.name, plain[1:])
        self.library.calls.append((self.name, plain))
        return self.library.fails.get(self.name, 0)


class Library:
    """libcublas, as far as products need it."""

    def __init__(self, **fails):
        self.calls, self.fails = [], fails

    def __getattr__(self, name):
        assert name in cublas.SIGNATURES, name
        function = Function(name, self)
        setattr(self, name, function)
        return function

    def names(self):
        return [name for name, _ in self.calls]


def workspace():
    return OnDevice(np.empty(64, np.uint8))


def gemm(dtype=np.float32, lead=(), **options):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(*lead, 4, 4)).astype(dtype) for _ in range(2))
    out = np.ones((*lead, 4, 4), dtype)
    return a, b, out, Gemm(OnDevice(a), OnDevice(b), OnDevice(out), **options)


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(OnDevice, "nbytes", 64, raising=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_a_product_reaches_the_library(dtype, lead):
    library = Library()
    handle = Cublas(workspace(), library)
    a, b, out, product = gemm(dtype, lead, alpha=0.5, beta=2.0)
    handle.run(product.calls, 8)
    wanted = 0.5 * (a.astype(np.float64) @ b) + 2.0
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


def test_the_stream_is_set_before_the_workspace_and_both_once():
    library = Library()
    handle = Cublas(workspace(), library)
    product = gemm()[-1]
    handle.run(product.calls, 8)
    handle.run(product.calls, 8)
    start = ["cublasSetStream_v2", "cublasSetWorkspace_v2"]
    products = ["cublasGemmEx"]
    assert library.names() == ["cublasCreate_v2", *start, *products, *products]
    assert library.calls[1][1][1] == 8
    assert library.calls[2][1][2] == 64
    handle.run(product.calls, 16)  # a change of stream takes the workspace away
    assert library.names()[-3:] == [*start, *products]


def test_the_handle_is_freed_once():
    library = Library()
    handle = Cublas(workspace(), library)
    handle.close()
    handle.close()
    del handle
    gc.collect()
    assert library.names().count("cublasDestroy_v2") == 1
    assert Cublas(workspace(), library).close.atexit


@pytest.mark.parametrize("status", [*cublas.STATUS, 99])
def test_a_status_becomes_one_message(status):
    with pytest.raises(CublasError, match=rf"cublasCreate_v2.*status {status}, \w"):
        Cublas(workspace(), Library(cublasCreate_v2=status))
    handle = Cublas(workspace(), Library(cublasGemmEx=status))
    with pytest.raises(CublasError, match=rf"cublasGemmEx\(0, 0, 4, .*status {status}"):
        handle.run(gemm()[-1].calls, 0)


def test_signatures_are_those_of_the_library_that_cupy_brings():
    """The real library loads without a driver, and says that there is none."""
    pytest.importorskip("cuda.pathfinder", reason="CuPy's libraries are not installed")
    try:
        real = cublas.library()
    except CublasError as error:
        pytest.skip(str(error))
    for name in cublas.SIGNATURES:
        assert getattr(real, name)
    if not cuda_status()[0]:
        with pytest.raises(CublasError, match="status 1, NOT_INITIALIZED"):
            Cublas(workspace(), real)


def test_a_missing_library_is_told_with_the_way_out(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(CublasError, match=r"pip install 'cupy-cuda13x\[ctk\]"):
        cublas.library()


def test_a_drivers_products_share_one_handle_on_the_current_stream(
    standin, monkeypatch
):
    real = Library()
    monkeypatch.setattr(cublas, "library", lambda: real)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    driver = cublas.Products()
    assert real.calls == []  # nothing before the first product
    *_, product = gemm()
    for _ in range(2):
        driver.gemm(product)
    assert real.names().count("cublasCreate_v2") == 1
    assert real.names().count("cublasGemmEx") == 2
    assert real.calls[1][1][1] == 0  # the null stream
    assert real.calls[2][1][2] == tuning.CUBLAS_WORKSPACE_BYTES
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        driver.gemm(product)
    assert ("cublasSetStream_v2", stream.ptr) == (
        real.names()[-3],
        real.calls[-3][1][1],
    )
