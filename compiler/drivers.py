"""The driver of a backend's device: what compiles kernels for it and launches them."""

from typing import TYPE_CHECKING

from xpnet.backend import Backend

if TYPE_CHECKING:
    from xpnet.compiler.cuda.driver import Driver


def driver_of(backend: Backend) -> "Driver | None":
    """The driver; None for the CPU, and where CuPy's calls are to do everything."""
    if backend.is_host or backend.driver is False:
        return None
    if backend.driver is not None:
        driver: Driver = backend.driver
        return driver
    from xpnet.compiler.cuda.cupy_driver import cupy_driver

    return cupy_driver(backend.ordinal)
