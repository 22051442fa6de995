"""What keeps CUDA from working, in one line each, with the way out.

CuPy's own words come late (at the first kernel, the first product) and name a symptom;
they are kept in parentheses.
"""

import os
from typing import Any

from xpnet.common.install import NEEDS, install


class DeviceError(RuntimeError):
    """A CUDA device was asked for and cannot be used, or an operation on it failed."""


INSTALL = f"{install('cuda13')} (driver 580 or newer) or {install('cuda12')}"
CUDA_ERRORS = ("cudaError", "CUDA_ERROR_")  # what the driver's and the runtime's begin
DRIVERS = {12: 525, 13: 580}  # CUDA's major version: the first driver that runs it
# Packages that all hold a module `cupy`; where two are installed one wins by chance.
WHEELS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy-rocm-7-0")


def installed_wheels() -> list[str]:
    """The installed packages of CuPy, "cupy-cuda13x 14.2.0"."""
    from importlib import metadata

    found = []
    for name in WHEELS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def several_wheels() -> str:
    """What to do where more than one CuPy is installed; empty where that is not so."""
    found = installed_wheels()
    if len(found) < 2:
        return ""
    names = " ".join(word.split()[0] for word in found)
    return (
        f"CuPy is installed {len(found)} times ({', '.join(found)}), which mix their "
        f"files; `pip uninstall {names}`, then one of them: {INSTALL}"
    )


def is_fault(error: BaseException | None) -> bool:
    """Whether CUDA itself reported `error`, as CuPy raises it."""
    return isinstance(error, RuntimeError) and str(error).startswith(CUDA_ERRORS)


def fault(error: BaseException, device: str) -> DeviceError:
    """What CUDA reported at work on `device`, with the way out."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    full = any(word in said.lower() for word in ("memoryallocation", "out_of_memory"))
    hint = (
        "its memory is full; nvidia-smi shows which processes hold it"
        if full
        else "if later calls fail too, restart the process and load what was saved last"
    )
    return DeviceError(f"CUDA error on {device} ({said}); {hint}")


def explain(error: BaseException, cupy: Any) -> str:
    """The reason and the way out, for what `cupy` raised."""
    words = " ".join(str(error).split())
    said = f"({type(error).__name__}: {words[:200]})"
    low = words.lower()
    if "insufficientdriver" in low:
        return f"{_driver(cupy)} {said}"
    if "nodevice" in low:
        return f"{_no_device()} {said}"
    if isinstance(error, MemoryError) or "memoryallocation" in low:
        return (
            f"the GPU's memory is full {said}; nvidia-smi shows which processes hold it"
        )
    for library, purpose in (
        ("nvrtc", "which compiles kernels"),
        ("cublas", "which multiplies matrices"),
        ("cannot open source file", ""),
    ):
        if library in low:
            what = f"lib{library}, {purpose}, is" if purpose else "CUDA's headers are"
            return f"{what} missing {said}; {_complete(cupy)}"
    return f"CUDA is present but a kernel did not run {said}; {INSTALL}"


def no_device(cupy: Any) -> str:
    """Why `cupy.cuda.is_available()` is False."""
    try:
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return explain(error, cupy)
    return _no_device()


def _no_device() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return "the driver finds no CUDA device; `nvidia-smi -L` lists what it sees"
    return (
        f"CUDA_VISIBLE_DEVICES={visible} leaves no CUDA device; "
        "`unset CUDA_VISIBLE_DEVICES`"
    )


def _driver(cupy: Any) -> str:
    """No NVIDIA driver, or one that is too old for CuPy's CUDA."""
    version = int(cupy.cuda.runtime.driverGetVersion())
    if version == 0:
        return "there is no NVIDIA driver; install one, 580 or newer"
    needed = _major(cupy)
    older = [major for major in DRIVERS if major <= version // 1000]
    instead = f", or {install(f'cuda{max(older)}')} instead" if older else ""
    return (
        f"the NVIDIA driver is too old: it runs CUDA {version // 1000}."
        f"{version % 1000 // 10}, this CuPy needs CUDA {needed}; update it to "
        f"{DRIVERS.get(needed, 580)} or newer{instead}"
    )


def _major(cupy: Any) -> int:
    return int(cupy.cuda.runtime.runtimeGetVersion()) // 1000


def _complete(cupy: Any) -> str:
    extra = f"cuda{_major(cupy)}"
    return f"{install(extra) if extra in NEEDS else INSTALL} brings all that CuPy needs"
