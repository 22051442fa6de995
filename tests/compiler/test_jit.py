"""A caller who knows how long a program will run has it compiled in time."""

import numpy as np
import pytest

from xpnet.backend import get_backend
from xpnet.compiler import JitProgram, compile_tape, tuning
from xpnet.compiler import c as native
from xpnet.trace import Tape


class Awaited:
    """A library on its way: there once it has been wanted for long enough."""

    def __init__(self):
        self.wanted = 0.0

    def want(self, seconds):
        self.wanted += seconds

    @property
    def done(self):
        return self.wanted >= tuning.COMPILE_AFTER_S


def replay(jit):
    cpu, recorded, build = get_backend("cpu"), [], Awaited()

    def record(loops, wait=True):
        recorded.append((loops, wait))
        if not wait:
            missing = native.NotCompiledError.__new__(native.NotCompiledError)
            missing.build = build
            raise missing
        tape = Tape()
        tape.segment = "a"
        x = tape.leaf(np.ones((2, 3)))
        x[...] = x * 2.0 + 1.0
        return compile_tape(tape, cpu, {}, ("a",))

    return JitProgram(record, cpu, "a", jit), recorded, build


@pytest.mark.skipif(not native.available(), reason="no C compiler")
def test_a_program_is_compiled_once_where_it_will_repay_it(monkeypatch):
    monkeypatch.setenv("XPNET_JIT", "1")
    program, recorded, build = replay(None)
    begun = [(True, False), (False, True)]
    program.expect_runtime(0.5 * tuning.COMPILE_AFTER_S)
    program.run("a")
    assert (recorded, program.compiled) == (begun, False)
    assert build.wanted < 0.5 * tuning.COMPILE_AFTER_S  # what has run, no forecast
    program.expect_runtime(2.0 * tuning.COMPILE_AFTER_S)
    program.expect_runtime(2.0 * tuning.COMPILE_AFTER_S)
    program.run("a")
    assert (recorded, program.compiled) == ([*begun, (True, True)], True)


def test_what_must_not_be_compiled_is_not():
    program, recorded, _ = replay(False)
    program.expect_runtime(100.0 * tuning.COMPILE_AFTER_S)
    program.run("a")
    assert (recorded, program.compiled) == ([(False, True)], False)
