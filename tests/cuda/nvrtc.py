"""CUDA C compiled to machine code by NVRTC, and what it says of each kernel. No GPU."""

import io
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

ARCHITECTURES = (75, 80, 90, 100, 120)
# What CuPy's RawModule adds to a module's own options (cupy/cuda/compiler.py).
OPTIONS = ("--std=c++17", "-ftz=true")
KERNEL = re.compile(r"__global__\s+void\s+(?:__\w+\([^)]*\)\s*)*(\w+)\s*\(([^)]*)\)")


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
    """Note the lines of PTX that work in float64, each with its kernel."""
    name = ""
    for line in ptx.splitlines():
        if match := re.search(r"\.(?:entry|func)\b.*?(\w+)\($", line):
            name = match[1]
        elif ".f64" in line.partition("//")[0] and not line.strip().startswith(".reg"):
            owners = [kernels[name]] if name in kernels else kernels.values()
            for kernel in owners:
                kernel.float64.append(line.strip())


def takes_float64(source: str) -> dict[str, bool]:
    """For each kernel in `source`, whether a parameter of it is a double."""
    return {name: "double" in words for name, words in KERNEL.findall(source)}
