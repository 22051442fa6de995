"""Where arrays live and which functions run there: one immutable object a device."""

import math
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend.blas import blas_threads
from xpnet.backend.failures import fault, is_fault
from xpnet.backend.program import Call
from xpnet.backend.sums import with_ones
from xpnet.backend.trace import Array, Shape, address
from xpnet.common import choose

if TYPE_CHECKING:
    from xpnet.backend.cuda import Driver

CACHE_LINE = 64  # bytes
BLOCK_ELEMENTS = 16384  # six float32 operands of a block fit in a 512 KiB L2 cache


HERE = nullcontext()  # of the host, which is always the current device


@dataclass(frozen=True)
class Backend:
    """Arrays and recorded primitives on one device.

    Resolved once (`get_backend`) and held by the model; there is no global state.

    Attributes:
        name: "numpy" or "cupy".
        device: "cpu", "cuda:0", ...
        xp: the array module, `numpy` or `cupy`.
        reason: why `get_backend("auto")` chose this one; empty otherwise.
        driver: compiles and launches kernels on this device, and multiplies; None for
            the CPU, and where every recorded operation is to be a call of CuPy.
        precision: of products on a GPU, see `PRECISIONS`.
    """

    name: str
    device: str
    xp: ModuleType
    reason: str = ""
    driver: "Driver | None" = field(default=None, compare=False, repr=False)
    precision: str = "float32"

    def with_precision(self, precision: str) -> "Backend":
        """This backend with float32 products of `precision`, see `PRECISIONS`.

        Raises:
            ValueError: no such precision, or none but "float32" on this device.
        """
        from xpnet.backend.cuda.products import PRECISIONS

        choose(precision, dict.fromkeys(PRECISIONS), "precision")
        if precision != "float32" and self.driver is None:
            raise ValueError(
                f"precision: {precision!r} is for products on a GPU, the device is "
                f"{self.device}; leave it at 'float32'"
            )
        return replace(self, precision=precision)

    @property
    def is_host(self) -> bool:
        """Whether arrays here are NumPy arrays."""
        return self.name == "numpy"

    @property
    def threads(self) -> int:
        """Threads that a compiled loop may use: as many as BLAS has."""
        return blas_threads() if self.is_host else 1

    @property
    def block_size(self) -> int | None:
        """Elements a block of a long elementwise run; None where blocks do not pay."""
        return BLOCK_ELEMENTS if self.is_host else None

    # Arrays: made here, moved here, read back.

    def active(self) -> AbstractContextManager[Any]:
        """A context in which this device is the current one.

        Raises:
            DeviceError: what CUDA reports within it, with the way out.
        """
        if self.is_host:
            return HERE
        return _Active(self.xp.cuda.Device(self.ordinal), self.device)

    @property
    def ordinal(self) -> int:
        """The CUDA device number; 0 on the CPU."""
        return int(self.device.partition(":")[2] or 0)

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        """`values` as an array here; what is here already is not copied."""
        if self.is_host:
            return np.asarray(values, dtype)
        if not isinstance(values, self.xp.ndarray):
            values = np.asarray(values, dtype)
        return self.xp.asarray(values, dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """`array` as a NumPy array on the host (this waits for the device)."""
        if self.is_host:
            return np.asarray(array)
        with self.active():  # what has failed before is reported here
            return np.asarray(self.xp.asnumpy(array))

    def owns(self, values: Any) -> bool:
        """Whether `values` is an array of this backend's device already."""
        if self.is_host:
            return isinstance(values, np.ndarray)
        if not isinstance(values, self.xp.ndarray):
            return False
        return int(values.device.id) == self.ordinal

    def empty_bytes(self, nbytes: int) -> Array:
        """Uninitialised bytes, aligned to a cache line."""
        if not self.is_host:
            return self.xp.empty((nbytes,), np.uint8)
        return _aligned(np.empty(nbytes + CACHE_LINE, np.uint8))

    def zero_bytes(self, nbytes: int) -> Array:
        """Zeros; on the host the system clears pages when they are first touched."""
        if not self.is_host:
            return self.xp.zeros((nbytes,), np.uint8)
        return _aligned(np.zeros(nbytes + CACHE_LINE, np.uint8))

    def empty(self, shape: Shape, dtype: Any) -> Array:
        """An uninitialised array, aligned to a cache line."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        return self.empty_bytes(nbytes).view(dtype).reshape(shape)

    def zeros(self, shape: Shape, dtype: Any) -> Array:
        """An array of zeros, aligned to a cache line."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        return self.zero_bytes(nbytes).view(dtype).reshape(shape)

    def upload(self, buffer: Array, values: Any) -> None:
        """Copy `values`, from the host or this device, into `buffer`."""
        if self.is_host or isinstance(values, self.xp.ndarray):
            buffer[...] = values
        else:
            whole = np.broadcast_to(np.asarray(values, buffer.dtype), buffer.shape)
            buffer.set(np.array(whole, order="C"))

    def synchronize(self) -> None:
        """Wait until the device has finished what was asked of it."""
        if not self.is_host:
            self.xp.cuda.Device(self.ordinal).synchronize()

    def memory(self) -> dict[str, int]:
        """Bytes: {"used", "free", "total"}, of the device or of the host process."""
        if not self.is_host:
            with self.active():
                free, total = self.xp.cuda.runtime.memGetInfo()
            return {"used": total - free, "free": free, "total": total}
        import os

        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_AVPHYS_PAGES") * page
        return {"used": page * pages - free, "free": free, "total": page * pages}

    # Recorded primitives: each gives a call on bound buffers.

    def scalar(self, value: Any, dtype: np.dtype[Any]) -> Any:
        """A Python number as the operand of a recorded call."""
        # A 0-d array spares NumPy the conversion of every replay (0.25 us a call).
        return np.array(value, dtype) if self.is_host else value

    def elementwise(self, op: np.ufunc, operands: list[Any], out: Array) -> Call:
        """Compute out = op(*operands)."""
        function = op if self.is_host else getattr(self.xp, op.__name__)
        if op in (np.maximum, np.minimum):  # whose third position is deprecated
            return partial(function, out=out), tuple(operands)
        return function, (*operands, out)

    def product(self, a: Array, b: Array, out: Array) -> Call:
        """Compute out = a @ b."""
        if self.is_host and _may_dot(a, b, out):
            return a.dot, (b, out)  # the same GEMM behind less dispatch
        if self.driver is not None:
            from xpnet.backend.cuda.products import Gemm, ProductError

            # Vectors, and the sum of squares of a norm, gain nothing by rounding.
            thin = min(a.shape[-2], b.shape[-1]) == 1
            precision = "float32" if thin else self.precision
            with suppress(ProductError):  # cuBLAS cannot read these views
                return self.driver.gemm, (Gemm(a, b, out, precision=precision),)
        return self.xp.matmul, (a, b, out)

    def product_sum(self, x: Array, axis: int, out: Array) -> Call:
        """Compute out = Σ of x along axis -1 or -2: by a product with ones."""
        if not self.is_host:
            return self.xp.sum, (x, axis, None, out, True)
        return self.product(*with_ones(x, axis), out)

    def copy(self, out: Array, source: Any) -> Call:
        """out[...] = source, converting the dtype."""
        return self.xp.copyto, (out, source, "unsafe")

    def where(self, condition: Array, a: Any, b: Any, out: Array) -> list[Call]:
        """Compute out = a where condition, else b; `out` may be `b`."""
        first = [] if b is out else [self.copy(out, b)]
        return [*first, (self.xp.copyto, (out, a, "unsafe", condition))]

    def reduce(
        self, op: str, x: Array, axes: tuple[int, ...], keepdims: bool, out: Array
    ) -> Call:
        """Compute out = sum or max of x over axes."""
        if self.is_host:
            ufunc = np.add if op == "sum" else np.maximum
            axis: Any = axes if len(axes) > 1 else axes[0]
            return ufunc.reduce, (x, axis, None, out, keepdims)
        if op == "sum":
            return self.xp.sum, (x, axes, None, out, keepdims)
        return self.xp.amax, (x, axes, out, keepdims)

    def take(self, rows: Array, indices: Array, out: Array) -> Call:
        """Compute out = rows[indices] along the first axis; indices are in range."""
        if not self.is_host:
            return self.xp.take, (rows, indices, 0, out)
        if rows.dtype == out.dtype and type(rows) is np.ndarray:
            return rows.take, (indices, 0, out, "clip")
        return _take_converting, (rows, indices, out)


class _Active:
    """A CUDA device as the current one within a block."""

    def __init__(self, device: Any, name: str) -> None:
        self._device, self._name = device, name

    def __enter__(self) -> None:
        self._device.__enter__()

    def __exit__(self, *raised: Any) -> None:
        error = raised[1]
        try:
            self._device.__exit__(*raised)
        except RuntimeError as later:  # a device that has failed refuses this too
            if error is None and not is_fault(later):
                raise
            error = error or later
        if is_fault(error):
            raise fault(error, self._name) from error


def _take_converting(rows: Array, indices: Array, out: Array) -> None:
    """For another dtype, and for a memory map, of which only these rows are read."""
    out[...] = rows[indices]


def _may_dot(a: Array, b: Array, out: Array) -> bool:
    """Whether `dot` multiplies the arrays themselves: a copy may have other bits."""
    whole = a.flags.forc and b.flags.forc and out.flags.c_contiguous
    return bool(a.ndim == b.ndim == 2 and whole)


def _aligned(raw: Array) -> Array:
    """The bytes of `raw` from its first cache line on, one line less."""
    start = -address(raw) % CACHE_LINE
    return raw[start : start + raw.size - CACHE_LINE]
