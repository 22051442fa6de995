"""Where arrays live and which functions run there: one immutable object a device."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from xpnet.backend.arrays import Array, Shape, address
from xpnet.backend.blas import blas_threads
from xpnet.backend.failures import fault, is_fault
from xpnet.common import choose
from xpnet.common.arrays import NDArray

CACHE_LINE = 64  # bytes
# Of products on a GPU: how many bits of the mantissa the operands keep.
PRECISIONS = ("float32", "tf32", "bfloat16")


HERE = nullcontext()  # of the host, which is always the current device


@dataclass(frozen=True)
class Backend:
    """Arrays on one device: made, moved and read back.

    Resolved once (`get_backend`) and held by the model; there is no global state.

    Attributes:
        name: "numpy" or "cupy".
        device: "cpu", "cuda:0", ...
        xp: the array module, `numpy` or `cupy`.
        reason: why `get_backend("auto")` chose this one; empty otherwise.
        driver: what compiles and launches kernels on this device: None for the one
            that `compiler.cuda.driver_of` finds, False for none (every recorded
            operation is then a call of CuPy).
        precision: of products on a GPU, see `PRECISIONS`.
        is_host: whether arrays here are NumPy arrays; asked often, so no property.
    """

    name: str
    device: str
    xp: ModuleType
    reason: str = ""
    driver: Any = field(default=None, compare=False, repr=False)
    precision: str = "float32"
    is_host: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_host", self.name == "numpy")

    def with_precision(self, precision: str) -> "Backend":
        """This backend with float32 products of `precision`, see `PRECISIONS`.

        Raises:
            ValueError: no such precision, or none but "float32" on this device.
        """
        choose(precision, dict.fromkeys(PRECISIONS), "precision")
        if precision != "float32" and (self.is_host or self.driver is False):
            raise ValueError(
                f"precision: {precision!r} is for products on a GPU, the device is "
                f"{self.device}; leave it at 'float32'"
            )
        return replace(self, precision=precision)

    @property
    def threads(self) -> int:
        """Threads that a compiled loop may use: as many as BLAS has."""
        return blas_threads() if self.is_host else 1

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

    def to_numpy(self, array: Array) -> NDArray:
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


def _aligned(raw: Array) -> Array:
    """The bytes of `raw` from its first cache line on, one line less."""
    start = -address(raw) % CACHE_LINE
    return raw[start : start + raw.size - CACHE_LINE]
