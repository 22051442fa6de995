"""A strict stand-in for CuPy, so that device code is tested without a GPU.

Arrays are NumPy arrays underneath and obey CuPy's rules: nothing becomes a NumPy array
by itself, NumPy arrays are no operands, a reduction stays on the device, and a name or
an argument that CuPy does not have fails here too. What costs time on a real device is
counted: launches, allocations, uploads (host to device) and synchronisations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter, index
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from xpnet.backend import Backend

UFUNCS = {
    np.add, np.subtract, np.multiply, np.divide, np.true_divide, np.floor_divide,
    np.remainder, np.power, np.negative, np.positive, np.absolute, np.sign, np.exp,
    np.expm1, np.log, np.log1p, np.sqrt, np.square, np.reciprocal, np.tanh, np.sinh,
    np.cosh, np.sin, np.cos, np.arctan, np.maximum, np.minimum, np.less, np.less_equal,
    np.greater, np.greater_equal, np.equal, np.not_equal, np.logical_and, np.isnan,
    np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
    np.invert, np.left_shift, np.right_shift, np.isfinite,
}  # fmt: skip
SCALARS = (bool, int, float, complex, np.generic)


@dataclass
class Counts:
    """What a real device would have been asked for."""

    launches: int = 0
    allocations: int = 0
    uploads: int = 0
    synchronisations: int = 0


@dataclass
class _Driver:
    """The state that CuPy keeps for a process."""

    counts: Counts = field(default_factory=Counts)
    devices: int = 2
    current: int = 0
    capturing: bool = False


_driver = _Driver()


def reset() -> None:
    """Forget counts, devices and capture."""
    _driver.__init__()  # type: ignore[misc]


@contextmanager
def counting() -> Iterator[Counts]:
    """The counts of the block alone."""
    outer, _driver.counts = _driver.counts, Counts()
    try:
        yield _driver.counts
    finally:
        _driver.counts = outer


@contextmanager
def capture() -> Iterator[None]:
    """As in a stream capture: transfers, waiting and cuBLAS raise."""
    _driver.capturing = True
    try:
        yield
    finally:
        _driver.capturing = False


def count_launch() -> None:
    """One kernel of another driver than the stand-in's own."""
    _driver.counts.launches += 1


def current_device() -> int:
    """The number of the current device."""
    return _driver.current


def _waits(what: str, kind: str = "D2H") -> None:
    if _driver.capturing:
        raise RuntimeError(
            f"{what}: the current stream is capturing, so {kind} transfers are "
            "disallowed"
        )
    _driver.counts.synchronisations += 1


def _uploads(what: str) -> None:
    if _driver.capturing:
        raise RuntimeError(
            f"{what}: the current stream is capturing, so H2D transfers are disallowed"
        )
    _driver.counts.uploads += 1


class Device:
    """`cupy.cuda.Device`: the current device within a block."""

    def __init__(self, device: int) -> None:
        self.id = int(device)
        self._outer: list[int] = []

    def __enter__(self) -> "Device":
        if self.id >= _driver.devices:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._outer.append(_driver.current)
        _driver.current = self.id
        return self

    def __exit__(self, *error: object) -> None:
        _driver.current = self._outer.pop()

    def synchronize(self) -> None:
        _waits("synchronize()", "all")


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801
    """`cupy.ndarray`: an array that lives on one device."""

    __slots__ = ("_host", "_id", "base")

    def __init__(self, host: Any, base: "ndarray | None" = None) -> None:
        self._host = np.asarray(host)
        self._id = _driver.current if base is None else base._id
        self.base = base if base is None or base.base is None else base.base

    device = property(lambda self: Device(self._id))
    T = property(lambda self: self._view(self._host.T))
    __cuda_array_interface__ = property(
        lambda self: {**self._host.__array_interface__, "version": 3}
    )

    # From the device to the host: only when it is said, and the host waits.

    def get(self) -> Any:
        _waits(".get()")
        return self._host.copy()

    def item(self) -> Any:
        _waits(".item()")
        return self._host.item()

    def tolist(self) -> Any:
        _waits(".tolist()")
        return self._host.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        return index(self.item())

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
            "to construct a NumPy array explicitly."
        )

    # From the host to the device.

    def set(self, values: Any) -> None:
        if not isinstance(values, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if values.dtype != self.dtype:
            raise TypeError(f"{values.dtype} array cannot be set to {self.dtype} array")
        if values.shape != self.shape:
            raise ValueError(f"Shape mismatch: {self.shape} and {values.shape}")
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        _uploads(".set()")
        self._host[...] = values

    # Views.

    def _view(self, host: Any) -> "ndarray":
        if np.shares_memory(host, self._host) or host.size == 0:
            return ndarray(host, self)
        _driver.counts.allocations += 1
        _driver.counts.launches += 1
        return ndarray(host)

    def view(self, dtype: Any) -> "ndarray":
        return self._view(self._host.view(dtype))

    def reshape(self, *shape: Any) -> "ndarray":
        return self._view(self._host.reshape(*shape))

    def swapaxes(self, a: int, b: int) -> "ndarray":
        return self._view(self._host.swapaxes(a, b))

    def transpose(self, *axes: Any) -> "ndarray":
        return self._view(self._host.transpose(*axes))

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> "ndarray":
        keys, fancy = _key(key)
        if not fancy:  # the ellipsis keeps a single element an array
            full = keys if any(k is ... for k in keys) else (*keys, ...)
            return ndarray(self._host[full], self)
        _driver.counts.launches += 1
        _driver.counts.allocations += 1
        return ndarray(self._host[keys])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            raise ValueError("a NumPy array cannot be assigned to a device array")
        self._host[_key(key)[0]] = _operands((self, value), 1)[1]

    # Copies.

    def copy(self) -> "ndarray":
        _operands((self,), 1, allocates=True)
        return ndarray(self._host.copy())

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        if not copy and self.dtype == dtype:
            return self
        _operands((self,), 1, allocates=True)
        return ndarray(self._host.astype(dtype))

    # NumPy's functions, called on a device array, are CuPy's.

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        known = all(isinstance(x, (ndarray, np.ndarray, *SCALARS)) for x in inputs)
        function = getattr(cupy, ufunc.__name__, None)
        if method != "__call__" or function is None or not known:
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        return function(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kw: Any) -> Any:
        own = getattr(cupy, function.__name__, None)
        if own is None or not all(t in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return own(*args, **kw)


def _key(key: Any) -> tuple[tuple[Any, ...], bool]:
    """An index as NumPy takes it, and whether it gathers."""
    keys, fancy = [], False
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, ndarray):
            if k.dtype == bool:
                _waits("boolean-mask indexing")
            keys, fancy = [*keys, k._host], True
        elif isinstance(k, np.ndarray | list):
            _uploads("a host index")
            keys, fancy = [*keys, np.asarray(k)], True
        else:
            keys.append(k)
    return tuple(keys), fancy


def _operands(
    values: tuple[Any, ...], launches: int, allocates: bool = False
) -> list[Any]:
    """The operands of a kernel as NumPy sees them; counts the launch."""
    found = []
    for value in values:
        if isinstance(value, ndarray):
            if value._id != _driver.current:
                raise ValueError(
                    f"The device where the array resides ({value._id}) is different "
                    f"from the current device ({_driver.current}). Peer access is "
                    "unavailable between these devices."
                )
            value = value._host
        elif value is not None and not isinstance(value, SCALARS):
            raise TypeError(f"Unsupported type {type(value)}")
        found.append(value)
    _driver.counts.launches += launches
    _driver.counts.allocations += allocates
    return found


def _launch(
    function: Callable[..., Any], args: tuple[Any, ...], out: Any, **kwargs: Any
) -> ndarray:
    """One kernel, into `out` or into a new array."""
    if out is not None and not isinstance(out, ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    *hosts, target = _operands((*args, out), 1, allocates=out is None)
    with np.errstate(all="ignore"):
        result = function(*hosts, out=target, **kwargs)
    return ndarray(result) if out is None else out


# The module's functions, with CuPy's positional arguments.


def _ufunc(op: np.ufunc) -> Callable[..., ndarray]:
    def call(*args: Any, out: Any = None) -> ndarray:
        if len(args) == op.nin + 1:
            *args, out = args
        if len(args) != op.nin:
            raise TypeError(f"Wrong number of arguments for {op.__name__}")
        return _launch(op, tuple(args), out)

    return call


def _total(op: Callable[..., Any]) -> Callable[..., ndarray]:
    def call(a, axis=None, dtype=None, out=None, keepdims=False):  # type: ignore[no-untyped-def]
        return _launch(op, (a,), out, axis=axis, dtype=dtype, keepdims=keepdims)

    return call


def _extreme(op: Callable[..., Any]) -> Callable[..., ndarray]:
    def call(a, axis=None, out=None, keepdims=False):  # type: ignore[no-untyped-def]
        return _launch(op, (a,), out, axis=axis, keepdims=keepdims)

    return call


def _matmul(x1: Any, x2: Any, out: Any = None) -> ndarray:
    if _driver.capturing:
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )
    return _launch(np.matmul, (x1, x2), out)


def _where(condition: Any, x: Any, y: Any) -> ndarray:
    return ndarray(np.where(*_operands((condition, x, y), 1, allocates=True)))


def _take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
    if not isinstance(indices, ndarray):
        indices = _asarray(np.asarray(indices))
    if out is not None and out.dtype != a.dtype:
        raise TypeError("Output dtype mismatch")
    # Out of range is no error there: indices wrap.
    return _launch(np.take, (a, indices), out, axis=axis, mode="wrap")


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if where is not None and np.dtype(where.dtype).kind != "b":
        raise TypeError("where: expected a device array of bool")
    target, source, mask = _operands((dst, src, where), 1)
    np.copyto(target, source, casting, where=True if mask is None else mask)


def _asarray(a: Any, dtype: Any = None) -> ndarray:
    if isinstance(a, ndarray):
        return a.astype(dtype or a.dtype, copy=False)
    _uploads("asarray")
    _driver.counts.allocations += 1
    return ndarray(np.array(a, dtype))


def _asnumpy(a: Any) -> Any:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def _made(maker: Callable[..., Any], launches: int = 1) -> Callable[..., ndarray]:
    def make(*args: Any) -> ndarray:
        _operands((), launches, allocates=True)
        return ndarray(maker(*args))

    return make


def _empty(shape: Any, dtype: Any = float) -> Any:
    """Not zeros by chance: reading it before it is written shows."""
    array = np.empty(shape, dtype)
    array.view(np.uint8).fill(0xFF)
    return array


def _module() -> ModuleType:
    module = ModuleType("cupy")
    names = vars(module)
    names |= {op.__name__: _ufunc(op) for op in UFUNCS}
    names |= {"divide": _ufunc(np.divide), "true_divide": _ufunc(np.divide)}
    names |= {"sum": _total(np.sum), "mean": _total(np.mean)}
    names |= {"max": _extreme(np.max), "min": _extreme(np.min)}
    names |= {"amax": names["max"], "amin": names["min"], "all": _extreme(np.all)}
    names |= {"zeros": _made(np.zeros), "ones": _made(np.ones)}
    names |= {"arange": _made(np.arange), "empty": _made(_empty, launches=0)}
    names |= {"matmul": _matmul, "where": _where, "take": _take, "copyto": _copyto}
    names |= {"asarray": _asarray, "asnumpy": _asnumpy, "ndarray": ndarray}
    names |= {t: getattr(np, t) for t in ("float32", "float64", "int32", "uint8")}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: _driver.devices,
        memGetInfo=lambda: (3 << 30, (4 + _driver.current) << 30),  # (free, total)
    )
    names["cuda"] = SimpleNamespace(
        Device=Device, runtime=runtime, is_available=lambda: _driver.devices > 0
    )
    for name in ("sum", "mean", "max", "min", "all"):
        setattr(ndarray, name, names[name])
    for name in ("shape", "dtype", "ndim", "size", "nbytes", "strides", "flags"):
        setattr(ndarray, name, property(attrgetter(f"_host.{name}")))
    return module


cupy = _module()


def set_device_count(devices: int) -> None:
    """How many devices there are, until `reset`."""
    _driver.devices = devices


def standin_backend(ordinal: int = 0) -> Backend:
    """The backend of the stand-in's device `ordinal`."""
    return Backend("cupy", f"cuda:{ordinal}", cupy)
