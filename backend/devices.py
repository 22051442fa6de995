"""Which device: "cpu", "cuda", "cuda:1" or "auto", and whether it really works."""

import re
from functools import cache
from typing import Any

import numpy as np

from xpnet.backend.backend import Backend
from xpnet.backend.crossover import prefers_gpu
from xpnet.backend.failures import (
    INSTALL,
    DeviceError,
    explain,
    no_device,
    several_wheels,
)
from xpnet.common import nearest


@cache
def cuda_status(ordinal: int = 0) -> tuple[bool, str]:
    """(usable, why): CuPy imports, the device exists, a kernel and a product ran.

    `cupy.cuda.is_available()` only counts devices; where NVRTC or cuBLAS are missing
    the first real operation fails. So one of each is run here, once a process.
    """
    try:
        import cupy
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return False, f"CuPy is not installed; {INSTALL}"
        failed = f"CuPy cannot be imported ({error}); {INSTALL}"
        return False, several_wheels() or failed
    several = several_wheels()
    return (False, several) if several else _probe(cupy, ordinal)


def _probe(cupy: Any, ordinal: int) -> tuple[bool, str]:
    if not cupy.cuda.is_available():
        return False, no_device(cupy)
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
        if ordinal >= count:
            return False, f"there is no cuda:{ordinal}; this machine has {count}"
        with cupy.cuda.Device(ordinal):
            ones = cupy.ones((2, 2), cupy.float32)
            result = float((ones @ ones + 1).sum())
    except Exception as error:
        return False, explain(error, cupy)
    if result != 12.0:
        return False, f"the device computed {result} instead of 12"
    return True, "ok"


def get_backend(
    device: "str | Backend" = "auto",
    work: tuple[int, int] | None = None,
    dtype: str = "float32",
) -> Backend:
    """The backend of `device`.

    Args:
        device: "cpu"; "cuda" (the first GPU) or "cuda:1"; "auto" takes the first GPU
            if one works and the CPU otherwise, and says why in `Backend.reason`;
            a `Backend` is handed back.
        work: (width of the widest layer, batch size), for "auto": where `xpnet compare`
            has measured that the CPU is faster at this size, it takes the CPU.
        dtype: that the work is done in.

    Raises:
        DeviceError: a CUDA device was named and cannot be used, with the reason and
            the way to install what is missing.
        ValueError: no such device name.
    """
    if isinstance(device, Backend):
        return device
    if not isinstance(device, str):
        raise TypeError(
            f"device: expected 'cpu', 'cuda', 'cuda:1' or 'auto', got {device!r}"
        )
    if device == "cpu":
        return Backend("numpy", "cpu", np)
    if device == "auto":
        return _auto(work, dtype)
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        hint = nearest(device, ["cpu", "cuda", "cuda:1", "auto"])
        raise ValueError(f"unknown device {device!r}; {hint}")
    ordinal = int(match[1] or 0)
    usable, why = cuda_status(ordinal)
    if not usable:
        raise DeviceError(f"device={device!r} cannot be used: {why}; or device='cpu'")
    return _cuda(ordinal, "")


def _auto(work: tuple[int, int] | None, dtype: str) -> Backend:
    usable, why = cuda_status()
    if not usable:
        return Backend("numpy", "cpu", np, reason=f"no GPU: {why}")
    gpu = _cuda(0, "a CUDA device works")
    if work is None or prefers_gpu(*work, gpu, dtype) is not False:
        return gpu
    width, batch = work
    faster = f"faster than {gpu.device} at width {width} and batch {batch}"
    return Backend("numpy", "cpu", np, reason=f"{faster}, as xpnet compare measured")


def _cuda(ordinal: int, reason: str) -> Backend:
    import cupy

    return Backend("cupy", f"cuda:{ordinal}", cupy, reason)
