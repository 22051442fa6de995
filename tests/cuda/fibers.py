"""A driver that runs the real kernel text on the CPU, on the stand-in's memory."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import standin
from tests.cuda import emulated_gemm
from xpnet.backend import Backend
from xpnet.backend.arrays import address
from xpnet.common.cache import cache_directory
from xpnet.compiler.cuda.gemm import Gemm
from xpnet.compiler.cuda.launch import (
    KERNEL,
    Signature,
    bind,
    check_grid,
    signatures,
)
from xpnet.compiler.cuda.module import handwritten

HEADER = Path(__file__).with_name("fibers.h")
FLAGS = ["-std=c++17", "-O0", "-shared", "-fPIC", "-w", "-U_FORTIFY_SOURCE"]
# As NVRTC is asked: no contraction, whole numbers wrap round.
FLAGS += ["-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing"]
FLAGS += ["-Wl,-Bsymbolic"]  # a kernel may be called as a function of libc
MEETS = re.compile(r"__shfl|__syncthreads|dot_parts|add_parts")

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="g++ is missing: no kernel is run on the CPU"
)


class KernelError(RuntimeError):
    """Threads that did not meet."""


class FiberFunction:
    """A kernel, compiled when it or another is launched for the first time.

    Attributes:
        backwards: whether its last blocks ran first in the last launch: every other
            time, from the first on.
    """

    def __init__(self, signature: Signature, unit: "Unit") -> None:
        self.signature, self._unit = signature, unit
        self._entry: Any = None
        self.backwards = False

    def run(self, dims: Any, args: Any) -> str | None:
        """What went wrong, or None."""
        if self._entry is None:
            library = self._unit.library()
            self._entry = getattr(library, f"run_{self.signature.name}")
            self._entry.restype = ctypes.c_char_p
        problem = self._entry(dims, args)
        return problem and problem.decode()


class Unit:
    """Texts that are compiled together, with what they have in common in front."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.functions: dict[str, FiberFunction] = {}
        self.waiting: dict[str, str] = {}
        self._libraries: dict[str, ctypes.CDLL] = {}
        self.add(head, in_head=True)

    def add(self, text: str, in_head: bool = False) -> None:
        """Take in the kernels of `text` that are not there yet."""
        known = signatures(text)
        parts = re.split(r'(?=extern "C" __global__)', text)
        for part in parts:
            found = KERNEL.search(part)
            if found is None or found[1] in self.functions:
                continue
            signature = known[found[1]]
            self.functions[signature.name] = FiberFunction(signature, self)
            entry = _entry(signature, bool(MEETS.search(part)))
            self.waiting[signature.name] = entry if in_head else part + entry

    def library(self) -> Any:
        """All functions, those compiled before and those that were waiting."""
        if self.waiting:
            text = "\n".join([self.head, *self.waiting.values()])
            library = ctypes.CDLL(str(_compiled(text)))
            self._libraries |= dict.fromkeys(self.waiting, library)
            self.waiting = {}
        return _Entries(self._libraries)


class _Entries:
    def __init__(self, libraries: dict[str, ctypes.CDLL]) -> None:
        self._libraries = libraries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._libraries[name.removeprefix("run_")], name)


def _entry(signature: Signature, together: bool) -> str:
    """A C function that runs a kernel over a grid, from an array of addresses."""
    from xpnet.compiler.expressions import C_NAMES

    kinds = [C_NAMES[p.dtype] + "*" * p.pointer for p in signature.parameters]
    values = ", ".join(f"*({kind}*)p[{i}]" for i, kind in enumerate(kinds))
    name = signature.name
    return (
        f"static void call_{name}(void* v) {{ void** p = (void**)v; "
        f"{name}({values}); }}\n"
        f'extern "C" const char* run_{name}(const unsigned* d, void** p) '
        f"{{ return fibers::run(d, call_{name}, p, {str(together).lower()}); }}\n"
    )


def _compiled(text: str) -> Path:
    """The shared library of `text`, compiled once a machine."""
    text = HEADER.read_text("utf-8") + text
    key = hashlib.sha256((text + " ".join(FLAGS)).encode()).hexdigest()[:24]
    folder = cache_directory() / "fibers"
    folder.mkdir(exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        source = folder / f"{key}.{os.getpid()}.cpp"
        part = source.with_suffix(".part")
        source.write_text(text)
        command = ["g++", *FLAGS, str(source), "-o", str(part)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        source.unlink()
        assert run.returncode == 0, run.stderr[:4000]
        os.replace(part, library)
    return library


class FiberModule:
    """What `Driver.load` gives."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def function(self, name: str) -> FiberFunction:
        return self._unit.functions[name]


@cache
def _shared_unit() -> Unit:
    return Unit(handwritten())


@cache
def _own_unit(source: str) -> Unit:
    return Unit(source)


class FiberDriver:
    """Compiles with g++ and launches on the stand-in's arrays.

    Kernels that were loaded before the first is launched are compiled by one call.

    Attributes:
        launched: names of the kernels, in the order of their launches.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self.ordinal = ordinal
        self.launched: list[str] = []

    def load(self, source: str) -> FiberModule:
        head = handwritten()
        if not source.startswith(head):
            return FiberModule(_own_unit(source))
        _shared_unit().add(source[len(head) :])
        return FiberModule(_shared_unit())

    def launch(self, function: Any, grid: Any, block: Any, args: Any) -> None:
        name = function.signature.name
        check_grid(name, grid, block)
        values = []
        for parameter, value in zip(
            function.signature.parameters,
            bind(function.signature, args, self.ordinal),
            strict=True,
        ):
            if parameter.pointer:
                values.append(np.array(address(value), np.int64))
            else:
                values.append(np.array(value))
        addresses = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))

        def run(arguments: Any = values) -> None:  # addresses point into them
            function.backwards = not function.backwards
            dims = (ctypes.c_uint * 7)(*grid, *block, function.backwards)
            self.launched.append(name)
            problem = function.run(dims, addresses)
            if problem:
                raise KernelError(f"{name}: {problem}")

        standin.enqueue(run)

    def prepare(self) -> None:
        """The emulated products need nothing."""

    def gemm(self, gemm: Gemm) -> None:
        standin.enqueue(lambda: emulated_gemm.run(gemm))


def fiber_backend(ordinal: int = 0) -> Backend:
    """The stand-in's device with kernels run by fibers."""
    return Backend("cupy", f"cuda:{ordinal}", standin.cupy, driver=FiberDriver(ordinal))
