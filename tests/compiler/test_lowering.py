"""Each way to run a step has one lowering, and the pipeline imports what it takes."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.cuda.fibers import FiberDriver
from tests.standin import standin_backend
from xpnet.backend import get_backend
from xpnet.compiler import c as native
from xpnet.compiler import compile, compile_tape
from xpnet.compiler.c.lower import CLowering
from xpnet.compiler.calls import CallLowering
from xpnet.compiler.cuda.lower import CudaLowering
from xpnet.trace import Tape

CPU = get_backend("cpu")
DEVICE = standin_backend()
WITH_DRIVER = replace(DEVICE, driver=FiberDriver())
C = CLowering if native.available() else CallLowering


@pytest.mark.parametrize(
    ("backend", "loops", "wanted"),
    [
        (CPU, False, CallLowering),
        (CPU, True, C),
        (DEVICE, True, CallLowering),
        (WITH_DRIVER, False, CallLowering),
        (WITH_DRIVER, True, CudaLowering),
    ],
    ids=["calls", "C", "CuPy", "CuPy with a driver", "kernels"],
)
def test_backend_and_jit_choose_the_lowering(backend, loops, wanted, monkeypatch):
    chosen = []
    lowering = compile._lowering

    def watched(recording, loops):
        chosen.append(lowering(recording, loops))
        return chosen[-1]

    monkeypatch.setattr(compile, "_lowering", watched)
    tape = Tape()
    tape.segment = "all"
    with backend.active():
        x = tape.leaf(backend.asarray(np.ones((2, 3), np.float32)))
        x[...] = x * 2.0 + 1.0
        compile_tape(tape, backend, {}, ("all",), loops)
    assert [type(one) for one in chosen] == [wanted]


def test_training_on_the_cpu_imports_nothing_of_cuda():
    code = "import sys, xpnet.training; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "xpnet.compiler.c.lower" in run.stdout.split()
    assert "xpnet.compiler.cuda" not in run.stdout.split()
