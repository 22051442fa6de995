"""The versions of what stands under CuPy: the driver, CUDA's runtime, NVRTC, cuBLAS.

None of it needs a GPU or a driver; what is not there is left out.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

CUBLAS_PROPERTIES = (0, 1, 2)  # libraryPropertyType: major, minor, patch


def cuda_versions() -> dict[str, str]:
    """{"CUDA driver": "13.0", "CUDA runtime": ..., "NVRTC": ..., "cuBLAS": ...}.

    Empty where CuPy has not been imported: asking for a device does that.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return {}
    ways: dict[str, Callable[[], str]] = {
        "CUDA driver": lambda: _number(cupy.cuda.runtime.driverGetVersion()),
        "CUDA runtime": lambda: _number(cupy.cuda.runtime.runtimeGetVersion()),
        "NVRTC": lambda: ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "cuBLAS": lambda: _cublas(cupy.cuda.runtime.runtimeGetVersion() // 1000),
    }
    return {name: v for name, way in ways.items() if (v := _said(way))}


def _said(way: Callable[[], str]) -> str:
    try:
        return way()
    except Exception:  # a library that is not there is no reason to show nothing
        return ""


def _number(version: int) -> str:
    """ "13.0" for 13000; nothing for 0, no driver."""
    return f"{version // 1000}.{version % 1000 // 10}" if version else ""


def _cublas(major: int) -> str:
    library = _load(major)
    numbers = []
    for kind in CUBLAS_PROPERTIES:
        value = ctypes.c_int()
        if library.cublasGetProperty(kind, ctypes.byref(value)):
            return ""
        numbers.append(str(value.value))
    return ".".join(numbers)


def _load(major: int) -> Any:
    try:
        from cuda import pathfinder
    except ImportError:
        return ctypes.CDLL(f"libcublas.so.{major}")
    return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
