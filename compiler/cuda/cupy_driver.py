"""The driver of a GPU: NVRTC and kernel launches by CuPy."""

from functools import cache
from typing import Any

from xpnet.backend import DeviceError
from xpnet.backend.failures import fault
from xpnet.compiler.cuda.cublas import Products
from xpnet.compiler.cuda.driver import Dim, Function
from xpnet.compiler.cuda.launch import Signature, bind, check_grid, signatures

# Products and sums are rounded one by one, as NumPy rounds them: the kernels wait for
# memory, not for arithmetic, and so the devices can be compared to the bit. (CuPy adds
# -ftz=true: numbers below 1.2e-38 in float32 become 0.)
OPTIONS = ("--std=c++17", "--fmad=false")


class CupyFunction:
    """A kernel of a loaded module."""

    def __init__(self, signature: Signature, kernel: Any) -> None:
        self.signature, self.kernel = signature, kernel


class CupyModule:
    """Compiled text on one device."""

    def __init__(self, source: str) -> None:
        import cupy

        self._signatures = signatures(source)
        self._functions: dict[str, CupyFunction] = {}
        try:
            self._module = cupy.RawModule(code=source, options=OPTIONS)
            self._module.compile()
        except Exception as error:
            raise DeviceError(
                f"the CUDA kernels of this step were not compiled ({_line(error)}); "
                "NVRTC comes with the extras cuda12 and cuda13; jit=False does without"
            ) from error

    def function(self, name: str) -> CupyFunction:
        """The kernel of that name."""
        if name not in self._functions:
            kernel = self._module.get_function(name)
            self._functions[name] = CupyFunction(self._signatures[name], kernel)
        return self._functions[name]


class CupyDriver(Products):
    """Kernels and products on `cuda:ordinal`, on CuPy's current stream there."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self._modules: dict[str, CupyModule] = {}

    def load(self, source: str) -> CupyModule:
        """`source`, compiled once a process, and by CuPy's cache once a machine.

        Raises:
            DeviceError: it was not compiled, with NVRTC's first line.
        """
        if source not in self._modules:
            self._modules[source] = CupyModule(source)
        return self._modules[source]

    def launch(
        self, function: Function, grid: Dim, block: Dim, args: tuple[Any, ...]
    ) -> None:
        """One kernel on the current stream; it does not wait for it.

        Raises:
            LaunchError: arguments that do not fit the kernel.
            DeviceError: CUDA refuses it, or reports what went wrong before.
        """
        assert isinstance(function, CupyFunction)
        signature = function.signature
        checked = bind(signature, args, self.ordinal)
        try:
            function.kernel(grid, block, checked)
        except Exception as error:
            check_grid(signature.name, grid, block)
            reason = fault(error, f"cuda:{self.ordinal}")
            raise DeviceError(
                f"the kernel {signature.name} was not launched: {reason}"
            ) from error


@cache
def cupy_driver(ordinal: int) -> CupyDriver:
    """The one driver of a device: what it has compiled is there for every model."""
    return CupyDriver(ordinal)


def _line(error: Exception) -> str:
    """An error's type and first line; for NVRTC the first with "error"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line for line in lines if "error" in line] or lines or [""]
    return f"{type(error).__name__}: {found[0]}"
