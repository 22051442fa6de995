"""A strict stand-in for CuPy, so that device code is tested without a GPU.

Arrays are NumPy arrays underneath and obey CuPy's rules: nothing becomes a NumPy array
by itself, NumPy arrays are no operands, a reduction stays on the device, and a name or
an argument that CuPy does not have fails here too. What costs time on a real device is
counted: launches, allocations, uploads (host to device) and synchronisations.

A stream captures as CuPy's do: nothing runs, what it may not contain raises, and the
graph that comes of it does the recorded work again each time it is launched, on the
memory that the work was recorded on.
"""

import weakref
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
    """What a real device would have been asked for.

    Attributes:
        graphs, nodes: launches of graphs, and what ran within them.
        unsafe: allocations during a capture that later work may be given again, while
            the graph goes on writing there.
    """

    launches: int = 0
    allocations: int = 0
    uploads: int = 0
    synchronisations: int = 0
    graphs: int = 0
    nodes: int = 0
    unsafe: int = 0


@dataclass
class _Driver:
    """The state that CuPy keeps for a process."""

    counts: Counts = field(default_factory=Counts)
    devices: int = 2
    current: int = 0
    streams: list["Stream"] = field(default_factory=list)
    pools: list["MemoryPool"] = field(default_factory=list)
    free: int = 3 << 30  # bytes that can still be allocated
    generation: int = 0

    @property
    def captured(self) -> list[Callable[[], Any]] | None:
        """What the current stream has captured; None where it does not capture."""
        return self.streams[-1].captured if self.streams else None

    @property
    def capturing(self) -> bool:
        return self.captured is not None


_driver = _Driver()


def reset() -> None:
    """Forget counts, devices and capture."""
    _driver.__init__(generation=_driver.generation + 1)  # type: ignore[misc]


def counts() -> Counts:
    """What was counted so far."""
    return _driver.counts


@contextmanager
def counting() -> Iterator[Counts]:
    """The counts of the block alone."""
    outer, _driver.counts = _driver.counts, Counts()
    try:
        yield _driver.counts
    finally:
        _driver.counts = outer


@contextmanager
def capture() -> Iterator[list[Callable[[], Any]]]:
    """The block is captured; what it would do stands in the list."""
    stream = Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            assert stream.captured is not None
            yield stream.captured
        finally:
            stream.end_capture()


def set_free_bytes(free: int) -> None:
    """How many bytes can still be allocated, until `reset`."""
    _driver.free, _driver.generation = free, _driver.generation + 1


def enqueue(work: Callable[[], Any]) -> None:
    """Do `work` on the current stream: now, or each time a captured graph runs."""
    if _driver.captured is not None:
        _driver.captured.append(work)
        return
    _driver.counts.launches += 1
    work()


def _allocate(array: Any) -> None:
    """Take the memory of `array`, and give it back when the last view has gone."""
    nbytes = array.nbytes
    if nbytes > _driver.free:
        raise OutOfMemoryError(
            f"Out of memory allocating {nbytes:,} bytes (allocated so far: 0 bytes)."
        )
    _driver.free -= nbytes
    weakref.finalize(array, _give_back, nbytes, _driver.generation)
    _driver.counts.allocations += 1
    if _driver.capturing and not _driver.pools:
        _driver.counts.unsafe += 1


def _give_back(nbytes: int, generation: int) -> None:
    if generation == _driver.generation:
        _driver.free += nbytes


def _new(compute: Callable[[], Any], launches: bool = True) -> "ndarray":
    """A new array of what `compute` gives."""
    array = np.array(compute())
    _allocate(array)
    if _driver.capturing:
        array.reshape(-1).view(np.uint8).fill(0xFF)  # it is not computed yet
        enqueue(lambda: np.copyto(array, compute()))
    elif launches:
        _driver.counts.launches += 1
    return ndarray(array)


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`."""


class MemoryPool:
    """`cupy.cuda.MemoryPool`: memory that nobody else is given."""

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the stand-in allocates by itself")

    def free_all_blocks(self) -> None:
        """Nothing is kept here."""


@contextmanager
def using_allocator(allocator: Any) -> Iterator[None]:
    """`cupy.cuda.using_allocator`, for `pool.malloc`."""
    _driver.pools.append(allocator.__self__)
    try:
        yield
    finally:
        _driver.pools.pop()


class Stream:
    """`cupy.cuda.Stream`; the null stream where none was entered."""

    _made = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        Stream._made += 0 if null else 1
        self.ptr = 0 if null else 0x1000 + 8 * Stream._made
        self.device_id = -1 if null else _driver.current
        self.non_blocking = non_blocking
        self.captured: list[Callable[[], Any]] | None = None

    def __enter__(self) -> "Stream":
        if self.device_id not in (-1, _driver.current):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) does not "
                f"match with the current device ({_driver.current})"
            )
        _driver.streams.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        assert _driver.streams.pop() is self

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if not self.non_blocking:  # CuPy's fails at the next call on the null stream
            raise RuntimeError("cudaErrorStreamCaptureImplicit")
        if self.captured is not None:
            raise RuntimeError("cudaErrorIllegalState")
        self.captured = []

    def end_capture(self) -> "Graph":
        if self.captured is None:
            raise RuntimeError("cudaErrorIllegalState")
        captured, self.captured = self.captured, None
        return Graph(captured)

    def is_capturing(self) -> bool:
        return self.captured is not None

    def synchronize(self) -> None:
        _waits("synchronize()", "all")


class Graph:
    """`cupy.cuda.Graph`: what was captured, again."""

    def __init__(self, captured: list[Callable[[], Any]]) -> None:
        self._captured = captured

    def upload(self, stream: Stream | None = None) -> None:
        """Nothing is to be prepared here."""

    def launch(self, stream: Stream | None = None) -> None:
        if _driver.capturing:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")
        _driver.counts.graphs += 1
        _driver.counts.nodes += len(self._captured)
        with np.errstate(all="ignore"):
            for work in self._captured:
                work()


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
        if _driver.capturing:
            raise RuntimeError("a view that copies, within a capture")
        return _new(lambda: host)

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
        return _new(lambda: self._host[keys])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            raise ValueError("a NumPy array cannot be assigned to a device array")
        keys, source = _key(key)[0], _operands((self, value))[1]
        enqueue(lambda: self._host.__setitem__(keys, source))

    # Copies.

    def copy(self) -> "ndarray":
        (host,) = _operands((self,))
        return _new(host.copy)

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        if not copy and self.dtype == dtype:
            return self
        (host,) = _operands((self,))
        return _new(lambda: host.astype(dtype))

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


def _operands(values: tuple[Any, ...]) -> list[Any]:
    """The operands of a kernel as NumPy sees them."""
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
    return found


def _launch(
    function: Callable[..., Any], args: tuple[Any, ...], out: Any, **kwargs: Any
) -> ndarray:
    """One kernel, into `out` or into a new array."""
    if out is not None and not isinstance(out, ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    *hosts, target = _operands((*args, out))

    def compute() -> Any:
        with np.errstate(all="ignore"):
            return function(*hosts, out=target, **kwargs)

    if out is None:
        return _new(compute)
    enqueue(compute)
    return out


# The module's functions, with CuPy's positional arguments.


def _ufunc(op: np.ufunc) -> Callable[..., ndarray]:
    def call(*args: Any, out: Any = None) -> ndarray:
        if len(args) == op.nin + 1:
            *args, out = args
        if len(args) != op.nin:
            raise TypeError(f"Wrong number of arguments for {op.__name__}")
        return _launch(op, tuple(args), out)

    return call


def _workspace() -> None:
    """CuPy's reductions take memory for their own use, also while capturing."""
    _driver.counts.unsafe += _driver.capturing and not _driver.pools


def _total(op: Callable[..., Any]) -> Callable[..., ndarray]:
    def call(a, axis=None, dtype=None, out=None, keepdims=False):  # type: ignore[no-untyped-def]
        _workspace()
        return _launch(op, (a,), out, axis=axis, dtype=dtype, keepdims=keepdims)

    return call


def _extreme(op: Callable[..., Any]) -> Callable[..., ndarray]:
    def call(a, axis=None, out=None, keepdims=False):  # type: ignore[no-untyped-def]
        _workspace()
        return _launch(op, (a,), out, axis=axis, keepdims=keepdims)

    return call


def _matmul(x1: Any, x2: Any, out: Any = None) -> ndarray:
    if _driver.capturing:
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )
    return _launch(np.matmul, (x1, x2), out)


def _where(condition: Any, x: Any, y: Any) -> ndarray:
    operands = _operands((condition, x, y))
    return _new(lambda: np.where(*operands))


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
    target, source, mask = _operands((dst, src, where))
    mask = True if mask is None else mask
    enqueue(lambda: np.copyto(target, source, casting, where=mask))


def _asarray(a: Any, dtype: Any = None) -> ndarray:
    if isinstance(a, ndarray):
        return a.astype(dtype or a.dtype, copy=False)
    _uploads("asarray")
    host = np.array(a, dtype)
    _allocate(host)
    return ndarray(host)


def _asnumpy(a: Any) -> Any:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def _made(maker: Callable[..., Any], launches: bool = True) -> Callable[..., ndarray]:
    def make(*args: Any) -> ndarray:
        return _new(lambda: maker(*args), launches)

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
    names |= {"arange": _made(np.arange), "empty": _made(_empty, launches=False)}
    names |= {"matmul": _matmul, "where": _where, "take": _take, "copyto": _copyto}
    names |= {"asarray": _asarray, "asnumpy": _asnumpy, "ndarray": ndarray}
    names |= {t: getattr(np, t) for t in ("float32", "float64", "int32", "uint8")}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: _driver.devices,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13020,
        memGetInfo=lambda: (_driver.free, (4 + _driver.current) << 30),  # (free, total)
    )
    null = Stream(null=True)
    names["cuda"] = SimpleNamespace(
        Device=Device,
        Graph=Graph,
        MemoryPool=MemoryPool,
        Stream=Stream,
        get_current_stream=lambda: _driver.streams[-1] if _driver.streams else null,
        is_available=lambda: _driver.devices > 0,
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=runtime,
        using_allocator=using_allocator,
    )
    names["get_default_memory_pool"] = MemoryPool
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
    return Backend("cupy", f"cuda:{ordinal}", cupy, driver=False)
