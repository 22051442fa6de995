"""libcublas, called directly: CuPy refuses its own products while a graph is captured.

The handle has a stream and a workspace of its own: without one cuBLAS would allocate
while a graph is captured. 32 MiB is what NVIDIA gives it on the largest devices. The
order matters: a change of stream takes the workspace away.

Source: cuBLAS library, "cublasSetWorkspace" and "CUDA Graphs Support",
https://docs.nvidia.com/cuda/cublas/
"""

import ctypes
import weakref
from contextlib import suppress
from functools import cached_property
from typing import Any

from xpnet.backend import Array, DeviceError
from xpnet.backend.arrays import address
from xpnet.common.install import install
from xpnet.compiler import tuning
from xpnet.compiler.cuda.gemm import COMPUTE_64F, Call, Gemm

NAMES = ("libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll")

_int, _pointer, _long = ctypes.c_int, ctypes.c_void_p, ctypes.c_longlong
_operand, _strided = (_pointer, _int, _int), (_pointer, _int, _int, _long)
_shape, _last = (_pointer, _int, _int, _int, _int, _int), (_int, _int)
SIGNATURES = {
    "cublasCreate_v2": (ctypes.POINTER(_pointer),),
    "cublasDestroy_v2": (_pointer,),
    "cublasSetStream_v2": (_pointer, _pointer),
    "cublasSetWorkspace_v2": (_pointer, _pointer, ctypes.c_size_t),
    "cublasGemmEx": (
        *(*_shape, _pointer, *_operand, *_operand),
        *(_pointer, *_operand, *_last),
    ),
    "cublasGemmStridedBatchedEx": (
        *(*_shape, _pointer, *_strided, *_strided),
        *(_pointer, *_strided, _int, *_last),
    ),
}
# Where alpha and beta stand among a call's arguments.
FACTORS = {"cublasGemmEx": (5, 12), "cublasGemmStridedBatchedEx": (5, 14)}

STATUS = {
    1: "NOT_INITIALIZED: the library could not start; is there a driver for it?",
    3: "ALLOC_FAILED: no device memory left for the library",
    7: "INVALID_VALUE: an argument that the library does not take",
    8: "ARCH_MISMATCH: this device cannot compute in this precision",
    11: "MAPPING_ERROR: an access to device memory failed",
    13: "EXECUTION_FAILED: the kernel did not run",
    14: "INTERNAL_ERROR: an operation of the library failed",
    15: "NOT_SUPPORTED: this device or library does not offer the product",
    16: "LICENSE_ERROR",
}


class CublasError(DeviceError):
    """cuBLAS is missing, or a call of it failed."""


def library() -> ctypes.CDLL:
    """libcublas, found as CuPy finds it.

    Raises:
        CublasError: there is none.
    """
    try:
        from cuda import pathfinder

        found = [pathfinder.load_nvidia_dynamic_lib("cublas").abs_path]
    except Exception:  # not installed, or of a version without it
        found = []
    for name in (*found, *NAMES):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise CublasError(
        "libcublas cannot be found; install CuPy with its libraries: "
        f"{install('cuda13')}, or {install('cuda12')} for drivers older than 580"
    )


class Cublas:
    """One handle, on the device that is current when it is made.

    Args:
        workspace: `CUBLAS_WORKSPACE_BYTES` on the device.
        lib: the library; None finds it.

    Raises:
        CublasError: it is missing, or a call of it failed.
    """

    def __init__(self, workspace: Array, lib: Any = None) -> None:
        self._lib = library() if lib is None else lib
        for name, arguments in SIGNATURES.items():
            function = getattr(self._lib, name)
            function.argtypes, function.restype = arguments, _int
        self._workspace = workspace
        self._stream: int | None = None
        self._handle = ctypes.c_void_p()
        self._check("cublasCreate_v2", ctypes.byref(self._handle))
        # At exit at the latest; the interpreter still stands then.
        destroy = self._lib.cublasDestroy_v2
        self.close = weakref.finalize(self, destroy, self._handle)

    def run(self, calls: tuple[Call, ...], stream: int) -> None:
        """Ask for `calls` on the stream of this address.

        Raises:
            CublasError: one of them failed, with its arguments.
        """
        if stream != self._stream:
            self._use(stream)
        for function, arguments in calls:
            self._check(function, self._handle, *_with_pointers(function, arguments))

    def _use(self, stream: int) -> None:
        self._check("cublasSetStream_v2", self._handle, stream)
        start, size = address(self._workspace), int(self._workspace.nbytes)
        self._check("cublasSetWorkspace_v2", self._handle, start, size)
        self._stream = stream

    def _check(self, function: str, *arguments: Any) -> None:
        status = getattr(self._lib, function)(*arguments)
        if status != 0:
            what = STATUS.get(status, "unknown")
            shown = ", ".join(str(a) for a in arguments if isinstance(a, int))
            raise CublasError(f"cuBLAS: {function}({shown}): status {status}, {what}")


class Products:
    """The products of a driver: a handle of its own, made when the first one comes."""

    @cached_property
    def _cublas(self) -> Cublas:
        import cupy

        return Cublas(cupy.empty((tuning.CUBLAS_WORKSPACE_BYTES,), cupy.uint8))

    def prepare(self) -> None:
        """Make the handle and its workspace; without the library, nothing yet."""
        with suppress(CublasError):
            self._cublas  # noqa: B018

    def gemm(self, gemm: Gemm) -> None:
        """Queue `gemm` on the current stream.

        Raises:
            CublasError: the library is missing, or does not compute it.
        """
        import cupy

        self._cublas.run(gemm.calls, int(cupy.cuda.get_current_stream().ptr))


def _with_pointers(function: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with alpha and beta as pointers to the type that is computed in."""
    kind = ctypes.c_double if arguments[-2] == COMPUTE_64F else ctypes.c_float
    passed = list(arguments)
    for at in FACTORS[function]:
        passed[at] = ctypes.cast(ctypes.pointer(kind(passed[at])), ctypes.c_void_p)
    return tuple(passed)
