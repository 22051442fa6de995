"""A program in C that reads another array in the place of its source, kept or not."""

import numpy as np
import pytest

from tests.compiler.test_recording import OTHER_READERS, PRODUCTS_ONLY
from tests.compiler.test_replay import CPU, normal, same
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape
from xpnet.trace import Tape

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")


def in_c(function, x, w, out):
    tape = Tape()
    tape.segment = "all"
    source = tape.leaf(x)
    tape.leaf(out)[...] = function(source, tape.leaf(w))
    return compile_tape(tape, CPU, {}, ("all",), loops=True, source=source)


@pytest.mark.parametrize("kept", [False, True], ids=["made", "kept"])
@pytest.mark.parametrize("case", PRODUCTS_ONLY)
def test_each_run_reads_the_array_that_was_bound_last(case, kept, cache_folder):
    function = PRODUCTS_ONLY[case]
    x, w = normal(6, 4), normal(4, 4, seed=1)
    out = np.zeros_like(function(x, w))
    if kept:
        in_c(function, x.copy(), w.copy(), out.copy())
        assert native.program_cache._KNOWN
    program = in_c(function, x, w, out)
    assert program.readers
    assert program.native.ops["all"]
    # Before the calls are linked, and twice after that.
    for other in (normal(6, 4, seed=2), normal(6, 4, seed=3), x):
        program.rebind(other)
        before = other.copy()
        program.run("all")
        np.testing.assert_allclose(out, function(other, w), rtol=1e-12)
        assert same(other, before)


@pytest.mark.parametrize("case", OTHER_READERS)
def test_a_source_that_anything_else_reads_is_not_bound_anew(case, cache_folder):
    function = OTHER_READERS[case]
    x, w = normal(6, 4), normal(4, 4)
    out = np.zeros_like(function(x, w))
    for _ in range(2):  # the second one is kept
        assert in_c(function, x, w, out).readers is None
