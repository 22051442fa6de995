"""Every kernel becomes machine code for every supported GPU: no spills, no float64."""

import re
from functools import cache

import numpy as np
import pytest

from tests.cuda.fibers import fiber_backend
from tests.cuda.nvrtc import (
    ARCHITECTURES,
    Kernel,
    compiled,
    resources,
    takes_float64,
    why_not,
)
from xpnet.benchmarks.gpu.cases import all_cases
from xpnet.benchmarks.gpu.parity import DTYPES, LEADS, Subject
from xpnet.compiler import compile_tape
from xpnet.compiler.cuda.launch import KERNEL
from xpnet.compiler.cuda.module import handwritten
from xpnet.execution.batch import BatchSpec
from xpnet.execution.step import TrainingStep
from xpnet.execution.update import UpdateState
from xpnet.layers import (
    BatchNorm,
    Dense,
    Dropout,
    LayerNorm,
    Sequential,
    SoftmaxCrossEntropy,
)
from xpnet.optim import Adam
from xpnet.trace import Tape, batch_sum

needs_nvrtc = pytest.mark.skipif(bool(why_not()), reason=why_not())

SPILLS = """
extern "C" __global__ void spills(const float* x, float* y, int n)
{
    float a[280];
    for (int i = 0; i < 280; i++) a[i] = x[i * n];
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 280; i++) a[i] = a[i] * a[(i * 7 + k) % 280];
    for (int i = 0; i < 280; i++) y[i * n] = a[i];
}
"""
STRAY = """
extern "C" __global__ void clean_f32(float* y) { y[threadIdx.x] *= 0.1f; }
extern "C" __global__ void stray_f32(float* y) { y[threadIdx.x] *= 0.1; }
extern "C" __global__ void wide_f64(double* y) { y[threadIdx.x] *= 0.1; }
"""


# CUDA's own cosf takes an angle beyond 10⁵ modulo 2π with one product in float64. It is
# a branch that no angle of ours enters.
HUGE_ANGLE = re.compile(
    r"cvt\.rn\.f64\.s64|mul(\.rn)?\.f64 .*0d3BF921FB54442D19|cvt\.rn\.ftz\.f32\.f64"
)


def texts_of(source):
    """The text of each kernel, by name."""
    parts = re.split(r'(?=extern "C" __global__)', source)
    return {found[1]: part for part in parts if (found := KERNEL.search(part))}


@cache
def library():
    """The text of kernels.cu, and of all kernels generated for the networks' steps."""
    texts = {}
    backend = fiber_backend()
    for case in all_cases():
        for dtype in DTYPES:
            for lead in LEADS:
                subject = Subject(case, backend, dtype, lead)
                for step in (subject.step, subject.evaluation):
                    assert step.program.source.startswith(handwritten())
                    generated = step.program.source.removeprefix(handwritten())
                    for name, text in texts_of(generated).items():
                        assert texts.setdefault(name, text) == text
    return "".join([handwritten(), *texts.values()])


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_of_the_library_compiles_without_spills_or_stray_float64(arch):
    source = library()
    _, kernels = compiled(source, arch)
    assert len(kernels) > 100
    assert list(faults(source, kernels)) == []


def faults(source, kernels):
    """What is wrong with each kernel of a module."""
    wide, texts = takes_float64(source), texts_of(source)
    assert set(wide) == set(kernels)
    for name, kernel in kernels.items():
        if kernel.spilled or kernel.stack:
            yield f"{name}: {kernel.spilled} bytes spilled, stack of {kernel.stack}"
        reduces = re.search(r"\b(cos|sin|tan)f\(", texts[name])
        stray = [
            line for line in kernel.float64 if not (reduces and HUGE_ANGLE.match(line))
        ]
        if stray and not wide[name]:
            yield f"{name}: float64 in {stray[0]}"


REGISTERS = 65536  # of a multiprocessor, given to a warp in units of 8 a thread
WIDE = {"long rows": (16, 20000), "long columns": (2048, 24)}  # batch, width


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("shape", WIDE)
def test_the_largest_blocks_find_registers_for_all_their_threads(arch, shape):
    text, threads = large_blocks(shape)
    assert set(threads.values()) == {128, 256, 1024}
    _, kernels = compiled(text, arch)
    for name, count in threads.items():
        registers = -(-kernels[name].registers // 8) * 8
        assert count * registers <= REGISTERS, f"{name}: {count} × {registers}"


@needs_nvrtc
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("sums", [3, 12])
def test_many_sums_of_long_columns_find_shared_memory(sums, added):
    """In a kernel each that could become one, or all in one for their sum."""
    backend, tape = fiber_backend(), Tape()
    tape.segment = "all"
    x = tape.leaf(backend.empty((1100, 4300), np.float64))
    found = [batch_sum(x * float(k)) for k in range(2, 2 + 2 * sums)]
    outputs = {str(i): node for i, node in enumerate([sum(found)] if added else found)}
    program = compile_tape(tape, backend, outputs, ("all",), loops=True)
    assert len(program) == (1 if added or sums == 3 else 4)
    compiled(program.source, 90)  # refuses a block that declares too much


@cache
def large_blocks(shape):
    """A program with blocks of every size: (its text, the threads of each kernel)."""
    batch, width = WIDE[shape]
    layers = [Dense(width, activation="gelu"), BatchNorm(), LayerNorm(), Dropout(0.3)]
    model = Sequential([*layers, Dense(7)]).build(5)
    backend = fiber_backend()
    model.allocate(backend, np.dtype("float64"), (0,), ())
    rule = UpdateState(Adam(0.01), model.buffers)
    kind = BatchSpec((batch, 5), labels=True, weighted=True)
    program = TrainingStep(model, SoftmaxCrossEntropy(), rule, kind).program
    threads = {
        args[0].signature.name: args[2][0]
        for calls in program.segments.values()
        for function, args in calls
        if function == backend.driver.launch
    }
    return program.source, threads


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_spill_is_found(arch):
    (fault,) = faults(SPILLS, compiled(SPILLS, arch)[1])
    assert fault.startswith("spills: ")


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_stray_float64_is_found(arch):
    cubin, kernels = compiled(STRAY, arch)
    assert cubin[:4] == b"\x7fELF"
    assert set(kernels) == {"clean_f32", "stray_f32", "wide_f64"}
    assert kernels["wide_f64"].float64
    assert all(kernel.registers > 0 for kernel in kernels.values())
    (fault,) = faults(STRAY, kernels)
    assert fault.startswith("stray_f32: float64 in ")


@needs_nvrtc
def test_what_does_not_compile_is_told_in_the_compilers_words():
    with pytest.raises(AssertionError, match=r"kernels\.cu\(1\): error: .*INFINITY"):
        compiled("__global__ void f(float* y) { *y = INFINITY; }", 90)


def test_resources_are_read_from_the_log():
    log = (
        "ptxas info    : Compiling entry function 'a' for 'sm_75'\n"
        "ptxas info    : Function properties for a\n"
        "ptxas         .     16 bytes stack frame, 4 bytes spill stores, "
        "8 bytes spill loads\n"
        "ptxas info    : Used 255 registers, used 0 barriers, 372 bytes cmem[0]\n"
        "ptxas info    : Compiling entry function 'b' for 'sm_75'\n"
        "ptxas info    : Used 7 registers, used 0 barriers\n"
    )
    assert resources(log) == {"a": Kernel(255, 12, 16), "b": Kernel(7)}
