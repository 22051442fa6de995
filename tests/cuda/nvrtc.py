"""CUDA C compiled to machine code by NVRTC, and what it says of each kernel. No GPU."""

import io
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from xpnet.compiler.cuda.cupy_driver import OPTIONS as DRIVERS
from xpnet.compiler.cuda.launch import signatures

ARCHITECTURES = (75, 80, 90, 100, 120)
# The driver's own, and what CuPy's RawModule adds to them (cupy/cuda/compiler.py).
OPTIONS = (*DRIVERS, "-ftz=true")


@dataclass
class Kernel:
    """What the compiler made of one kernel.

    Attributes:
        registers: a thread.
        spilled: bytes that registers did not hold, stores and loads.
        stack: bytes of local memory a thread.
        float64: the lines of its PTX that compute in float64.
    """

    registers: int = 0
    spilled: int = 0
    stack: int = 0
    float64: list[str] = field(default_factory=list)


@cache
def why_not() -> str:
    """Why nothing can be compiled here; empty where it can."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        return f"NVRTC cannot be used ({type(error).__name__}: {line})"
    return ""


def compiled(
    source: str, arch: int, options: tuple[str, ...] = ()
) -> tuple[bytes, dict[str, Kernel]]:
    """(cubin, its kernels by name) of `source` for sm_`arch`.

    Raises:
        AssertionError: it does not compile; with the compiler's words.
    """
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source, "kernels.cu", (), ())
    try:
        words = (*OPTIONS, *options, f"-arch=sm_{arch}", "--ptxas-options=-v")
        try:
            nvrtc.compileProgram(program, words)
        except nvrtc.NVRTCError as error:
            raise AssertionError(f"{error}\n{nvrtc.getProgramLog(program)}") from None
        ptx: Any = nvrtc.getPTX(program)
        kernels = resources(nvrtc.getProgramLog(program))
        add_float64(kernels, ptx.decode() if isinstance(ptx, bytes) else ptx)
        return nvrtc.getCUBIN(program), kernels
    finally:
        nvrtc.destroyProgram(program)


def resources(log: str) -> dict[str, Kernel]:
    """The kernels that ptxas -v lists, with their registers, spills and stack."""
    found: dict[str, Kernel] = {}
    kernel = Kernel()
    for line in io.StringIO(log):
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = found.setdefault(match[1], Kernel())
        elif "bytes spill stores" in line:
            stack, stores, loads = map(int, re.findall(r"(\d+) bytes", line))
            kernel.stack, kernel.spilled = stack, stores + loads
        elif match := re.search(r"Used (\d+) registers", line):
            kernel.registers = int(match[1])
    return found


def add_float64(kernels: dict[str, Kernel], ptx: str) -> None:
    """Note the lines of PTX in float64, of a kernel and of the functions it calls."""
    bodies: dict[str, list[str]] = {"": []}
    name = ""
    for line in ptx.splitlines():
        if match := re.search(r"\.(?:entry|func)\b.*?(\w+)\($", line):
            name = match[1]
        bodies.setdefault(name, []).append(line.partition("//")[0].strip())
    found = {k: [x for x in body if _is_float64(x)] for k, body in bodies.items()}
    functions = [k for k in bodies if k and k not in kernels and found[k]]
    for k, kernel in kernels.items():
        body = bodies[k]
        called = [f for f in functions if any(line.startswith(f) for line in body)]
        kernel.float64 = [line for f in (k, *called) for line in found[f]]


def _is_float64(line: str) -> bool:
    return ".f64" in line and not line.startswith(".")


def takes_float64(source: str) -> dict[str, bool]:
    """For each kernel in `source`, whether a parameter of it is a double."""
    return {
        name: any(p.dtype == np.float64 for p in signature.parameters)
        for name, signature in signatures(source).items()
    }
