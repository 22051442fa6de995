"""The driver of a device: it compiles kernels and launches them.

`CupyDriver` asks the GPU. The tests have a driver that runs the same text on the CPU.
"""

from typing import Any, Protocol

from xpnet.compiler.cuda.gemm import Gemm
from xpnet.compiler.cuda.launch import Signature

Dim = tuple[int, int, int]


class Function(Protocol):
    """A compiled kernel."""

    @property
    def signature(self) -> Signature:
        """Its name and its parameters."""


class Module(Protocol):
    """Compiled CUDA C text."""

    def function(self, name: str) -> Function:
        """The kernel of that name."""


class Driver(Protocol):
    """Kernels on one device, all on CuPy's current stream.

    Attributes:
        ordinal: the number of the device.
    """

    ordinal: int

    def prepare(self) -> None:
        """Take the memory that products need, before the first one comes."""

    def load(self, source: str) -> Module:
        """Compile `source`, or find what was compiled from the same text before."""

    def launch(
        self, function: Function, grid: Dim, block: Dim, args: tuple[Any, ...]
    ) -> None:
        """Launch `grid` blocks of `block` threads with `args`, checked by `bind`."""

    def gemm(self, gemm: Gemm) -> None:
        """Compute one product, or the strided batches that it comes to."""
