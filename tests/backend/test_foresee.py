"""A caller who knows how long a program will run has it compiled in time."""

import numpy as np
import pytest

from xpnet.backend import get_backend
from xpnet.compiler import Replay, compile_tape
from xpnet.compiler.jit import WORTH
from xpnet.trace import Tape


def replay(jit):
    cpu, recorded = get_backend("cpu"), []

    def record(loops, wait=True):
        recorded.append(loops)
        tape = Tape()
        tape.segment = "a"
        x = tape.leaf(np.ones((2, 3)))
        x[...] = x * 2.0 + 1.0
        return compile_tape(tape, cpu, {}, ("a",))

    return Replay(record, cpu, "a", jit), recorded


@pytest.mark.usefixtures("numba_only")
def test_a_program_is_compiled_once_where_it_will_repay_it():
    program, recorded = replay(None)
    program.foresee(0.5 * WORTH)
    program.run("a")
    assert (recorded, program.compiled) == ([False], False)
    program.foresee(2.0 * WORTH)
    program.foresee(2.0 * WORTH)
    program.run("a")
    assert (recorded, program.compiled) == ([False, True], True)


def test_what_must_not_be_compiled_is_not():
    program, recorded = replay(False)
    program.foresee(100.0 * WORTH)
    program.run("a")
    assert (recorded, program.compiled) == ([False], False)
