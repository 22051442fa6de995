"""The buffers of a program: taken, given back, taken again; references to them."""

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from xpnet.backend import Array, Backend, Shape
from xpnet.backend.arrays import address
from xpnet.compiler import tuning
from xpnet.trace.array import base

Span = tuple[int, int]


class BufferRef(NamedTuple):
    """An operand of a call: where in which memory it lies, and how.

    Attributes:
        buffer: a number of the memory, which no other memory has.
        offset: bytes from its beginning to the first element. Of a bound reference,
            the memory begins at address 0.
        shape: elements along each axis.
        strides: bytes from one element to the next along each axis.
        dtype: as `numpy.dtype.str` writes it.
    """

    buffer: int
    offset: int
    shape: Shape
    strides: Shape
    dtype: str

    @classmethod
    def of(cls, array: Array) -> "BufferRef":
        """The bound reference to an array of NumPy's; a reference as it is."""
        if type(array) is cls:
            return array
        shape, strides, dtype = array.shape, array.strides, array.dtype.str
        return cls(id(base(array)), address(array), shape, strides, dtype)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype[2:])

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.itemsize

    @property
    def span(self) -> Span:
        """(first byte, behind the last) of the memory between its elements."""
        _, low, shape, strides, dtype = self  # many times in each `fit`
        high = low + int(dtype[2:])
        for n, stride in zip(shape, strides, strict=True):
            if n == 0:
                return self.offset, self.offset
            if stride < 0:
                low += (n - 1) * stride
            else:
                high += (n - 1) * stride
        return low, high

    def meets(self, other: "BufferRef") -> bool:
        """Whether their spans have a byte in common."""
        return self.buffer == other.buffer and meet(self.span, other.span)


def meet(one: Span, other: Span) -> bool:
    """Whether they have a byte in common."""
    return one[0] < other[1] and other[0] < one[1]


@dataclass(eq=False)
class _Block:
    """One allocation, as bytes."""

    raw: Array
    nbytes: int


class Arena:
    """Memory for values that die within the step; best fit among what is free.

    Args:
        backend: where it is.
        exact: reuse a buffer for values of the same number of bytes only. Then a
            network of a stack finds its own share of a buffer always in one place.
        room: unused bytes behind each buffer, but where it is `fresh`.
    """

    def __init__(self, backend: Backend, exact: bool = False, room: int = 0) -> None:
        self._backend, self._exact, self._room = backend, exact, room
        self._free: list[_Block] = []
        self._held: dict[Any, _Block] = {}
        self.owned: list[Array] = []
        self.nbytes = 0

    def take(
        self, owner: Any, shape: Shape, dtype: np.dtype[Any], fresh: bool = False
    ) -> Array:
        """A buffer of `shape` for `owner`, uninitialised; `fresh`: of its own."""
        nbytes = math.prod(shape) * dtype.itemsize
        # A small value must not sit on a large buffer that a large one could use.
        limit = nbytes if self._exact else max(2 * nbytes, 4096)
        fitting = [b for b in self._free if nbytes <= b.nbytes <= limit]
        if fitting and not fresh:
            block = min(fitting, key=lambda b: b.nbytes)
            self._free.remove(block)
        else:
            room = 0 if fresh else self._room
            whole = max(nbytes, 1) + room
            block = _Block(self._backend.empty_bytes(whole), nbytes)
            self.owned.append(block.raw)
            self.nbytes += nbytes + room
        self._held[owner] = block
        return block.raw[:nbytes].view(dtype).reshape(shape)

    def owns(self, owner: Any) -> bool:
        """Whether `owner` holds a buffer of its own now."""
        return owner in self._held

    def take_over_buffer(self, giver: Any, taker: Any) -> None:
        """`taker` takes over the buffer of `giver`."""
        self._held[taker] = self._held.pop(giver)

    def free(self, owner: Any) -> None:
        """Give `owner`'s buffer back; nothing where it has none."""
        block = self._held.pop(owner, None)
        if block is not None:
            self._free.append(block)


class Freed:
    """Counts what is freed, and gives it back to the system once it is much.

    The C library keeps freed memory for later. Where programs of many sizes follow
    each other that is several times what they need.

    Attributes:
        much: whether it is worth to be given back.
    """

    def __init__(self) -> None:
        self.much, self._bytes = False, 0

    def add(self, nbytes: int) -> None:
        """Note that so many bytes are freed, or soon will be."""
        self._bytes += nbytes
        self.much = self._bytes > tuning.MAX_FREED_BYTES

    def give_back(self) -> None:
        """Give it back if it is `much`."""
        if self.much:
            self.much, self._bytes = False, 0
            trim = _trim()
            if trim is not None:
                trim(0)


@cache
def _trim() -> Any:
    """The C library's `malloc_trim`; None where it has none."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # not on Windows
        return None


FREED = Freed()
