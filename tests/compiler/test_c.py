"""Programs in C: they change no bit, are compiled once, and are no obstacle."""

import ctypes

import numpy as np
import pytest

from tests.cases import data
from tests.compiler.programs import AT_THE_EDGES
from tests.training.examples import trainer
from tests.ways import everything, same
from xpnet.backend import get_backend
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape, how_compiled, primitives, tuning
from xpnet.compiler.c import Linker, build, ufunc_loops
from xpnet.execution import c_steps
from xpnet.trace import Tape, batch_sum

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
CPU = get_backend("cpu")


def in_c(function, *arrays, members=None, outputs=True):
    """The program of `function`."""
    tape = Tape()
    tape.segment = "all"
    out = function(*map(tape.leaf, arrays))
    found = {"out": out} if outputs else {}
    return compile_tape(tape, CPU, found, ("all",), loops=True, n_networks=members)


def test_nan_and_infinity_pass_through_c_as_through_numpy():
    z = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0], np.float32)
    z = np.stack([z, z[::-1], np.roll(z, 2)])
    for function in (*AT_THE_EDGES, lambda z: np.exp(z) + np.tanh(z)):
        with np.errstate(all="ignore"):
            program = in_c(function, z)
            program.run("all")
            assert np.array_equal(function(z), program.outputs["out"], equal_nan=True)


def test_what_a_later_pass_reads_again_is_not_written_before():
    def equations(x, w, out, rest):
        z = x @ w
        b = z - z.max(axis=-1, keepdims=True)
        c = b * b
        rest[...] = c - c.max(axis=-1, keepdims=True)
        out[...] = b @ w

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(4, 4)).astype(np.float32) for _ in range(4)]
    wanted = [array.copy() for array in arrays]
    equations(*wanted)
    program = in_c(equations, *arrays, outputs=False)
    program.run("all")
    assert all(map(np.array_equal, arrays, wanted))


def test_text_is_the_same_for_other_batches_and_other_rates():
    def source(batch, rate):
        a = np.ones((batch, 5), np.float32)
        return in_c(lambda a: np.maximum(a * rate + 1.0, 0.0) / batch, a).source

    assert source(8, 0.3) == source(31, 0.7)


# NumPy's inner loops.


@pytest.mark.parametrize("kind", "fd")
def test_inner_loops_of_numpy_are_found(kind):
    for op in ufunc_loops.CHECKS:
        found = ufunc_loops.inner_loop(op, f"{kind * op.nin}->{kind}")
        assert found is not None, op
        assert found[0] != 0, op


def test_a_ufunc_of_another_layout_is_left_to_numpy(monkeypatch):
    class Shifted(ctypes.Structure):
        _fields_ = (("before", ctypes.c_int64), *ufunc_loops._UFunc._fields_)

    monkeypatch.setattr(ufunc_loops, "_UFunc", Shifted)
    ufunc_loops._found.cache_clear()
    try:
        assert ufunc_loops.inner_loop(np.exp, "f->f") is None
        x, y = data()
        plain, compiled = trainer("no bias", jit=False), trainer("no bias", jit=True)
        for t in (plain, compiled):
            t.fit(x, y, 2, 10)
            for i in range(3):  # a new array each step, not read in place
                t.step(np.roll(x, i, axis=0), y)
        assert not c_steps.possible(compiled.last_step.program.native)
        assert same(everything(plain), everything(compiled))
    finally:
        ufunc_loops._found.cache_clear()


def test_a_function_that_gives_other_bits_is_not_taken(monkeypatch):
    monkeypatch.setattr(ufunc_loops, "_AGREE", {})
    monkeypatch.setattr(ufunc_loops, "_agrees", lambda *a: False)
    assert ufunc_loops.inner_loop(np.exp, "f->f") is None
    monkeypatch.undo()
    monkeypatch.setattr(ufunc_loops, "_AGREE", {})
    monkeypatch.setattr(
        ufunc_loops, "_agrees", lambda *a: pytest.fail("tried once more")
    )
    assert ufunc_loops.inner_loop(np.exp, "f->f", tried=True) is not None
    assert ufunc_loops.inner_loop(np.exp, "f->f") is not None


# Whose memory is whose.


def stacked(function, *arrays):
    """Whether the networks of `function` over stacked arrays can be told apart."""
    return in_c(function, *arrays, members=len(arrays[0]), outputs=False).native.splits


def test_networks_split_where_nothing_is_common():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4, 4))
    one = rng.normal(size=(4,))

    def equations(a, b):
        z = np.exp(a @ b) + one
        a[...] = np.maximum(z, 0.0) * batch_sum(z)

    assert stacked(equations, a, b)


def test_networks_do_not_split_where_one_reads_another():
    a, b = np.ones((3, 3, 3)), np.ones((3, 3))

    def turned(a):
        a[...] = a.swapaxes(0, 1) + 1.0

    def all_of_them(a, b):
        b[...] = b + a.sum(axis=0)

    def common(a, b):
        b[0:1] = b[0:1] + 1.0

    assert not stacked(turned, a)
    assert not stacked(all_of_them, a, b)
    assert not stacked(common, a, b)


def test_each_network_finds_its_share_of_a_buffer_in_one_place():
    a, b = np.ones((5, 8, 8), np.float32), np.ones((5, 8, 6), np.float32)

    def equations(a, b):
        # Temporaries of 256 and of 192 bytes a network, which one alone would reuse.
        c = np.exp(a) * np.tanh(a)
        d = np.exp((c @ b) * 0.125) - 1.0
        b[...] = np.tanh(d)

    program = in_c(equations, a, b, members=5, outputs=False)
    assert program.native.splits
    calls = program.native.ops["all"]
    wanted = [x.copy() for x in (a, b)]
    equations(*wanted)
    table = program.native.link(calls)
    for first in (3, 0, 4, 1, 2):
        program.native.library.run(table.address, table.count, first, 1, 0)
    assert np.array_equal(b, wanted[1])


# The compiler.


def test_nothing_is_compiled_unasked_where_that_is_forbidden(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "COMPILE_AFTER_S", 0.0)
    monkeypatch.setattr(build.Build, "begin", lambda self: pytest.fail("compiled"))
    x, y = data()
    t = trainer("deep")  # XPNET_JIT=0 in all tests
    t.fit(x, y, 2, 10)
    assert not t.last_step.replay.compiled


def test_info_tells_how_programs_are_compiled(monkeypatch):
    monkeypatch.setenv("XPNET_JIT", "1")
    assert how_compiled().startswith("in C, compiled by ")
    monkeypatch.setattr(native, "available", lambda: False)
    told = "NumPy calls; faster with a C compiler (pip install 'ziglang>=0.13')"
    assert how_compiled() == told


def test_the_largest_of_one_long_row_is_not_shared_among_threads(monkeypatch):
    monkeypatch.setattr(tuning, "MIN_ELEMENTS_FOR_THREADS", 10)
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 3)
    z = np.random.default_rng(0).normal(size=(1, 999)).astype(np.float32)
    program = in_c(lambda z: z - z.max(axis=-1, keepdims=True), z)
    program.run("all")
    assert np.array_equal(program.outputs["out"], z - z.max(axis=-1, keepdims=True))


# Whole c_steps.


def test_a_bad_step_is_found_before_its_update():
    grads, loss = np.zeros(3, np.float32), np.zeros((1, 1), np.float32)
    values, params = np.arange(6, dtype=np.float32).reshape(6, 1), np.zeros(3, "f4")
    values[3] = np.nan
    held, ones = np.zeros(1, np.float32), np.ones(3, np.float32)
    tape = Tape()
    named = {"grads": grads, "loss": loss, "params": params, "held": held, "ones": ones}
    leaves = {name: tape.leaf(array) for name, array in named.items()}
    tape.segment = "gradients"
    leaves["grads"][...] = leaves["ones"] * leaves["held"]
    tape.segment = "update"
    leaves["params"][...] = leaves["params"] + leaves["grads"]
    tape.segment = "loss"
    leaves["loss"][...] = leaves["held"] * 2.0
    program = compile_tape(tape, CPU, {}, ("gradients", "update", "loss"), loops=True)
    losses = np.zeros(6, np.float32)
    first = [c_steps.copy(values[0], held, False, (values.strides[0], 0))]
    run = c_steps.Steps(program.native, first, grads, loss, losses)
    assert run.run(0, 3, 0, 1) == 3
    assert run.run(3, 6, 0, 1) == 3
    assert np.array_equal(params, [3.0] * 3)  # 0 + 1 + 2
    assert np.array_equal(losses[:3], [0.0, 2.0, 4.0])
    assert np.isnan(losses[3])
    assert run.run(4, 6, 0, 1) == 6
    assert np.array_equal(params, [12.0] * 3)


def test_only_whole_rows_are_gathered_in_c():
    rows, index = np.zeros((9, 4), np.float32), np.zeros(3, np.int64)
    out = np.zeros((3, 4), np.float32)
    assert c_steps.take(rows, index, out, None, 24) is not None
    for other in (rows.astype("f8"), rows[:, ::2], np.asfortranarray(rows)):
        fit = out[:, : other.shape[1]].copy()
        assert c_steps.take(other, index, fit, None, 24) is None
    lists, which = np.zeros((2, 3), np.int64), np.zeros(4, np.int64)
    assert c_steps.take(rows, lists, np.zeros((4, 3, 4), "f4"), which, 24) is not None
    assert c_steps.take(rows, lists, np.zeros((3, 3, 4), "f4"), which, 24) is None


def test_a_run_of_more_arrays_than_a_call_holds_is_cut(monkeypatch):
    monkeypatch.setattr("xpnet.compiler.c.linker.MOST_ARRAYS", 6)
    arrays = [np.full((4, 4), float(i)) for i in range(12)]
    program = in_c(lambda *a: sum(a) * 0.5, *arrays)
    program.run("all")
    assert np.array_equal(program.outputs["out"], np.full((4, 4), 33.0))
    assert len(program.native.tables[0].ops) > 1


def test_threads_share_a_long_loop_and_change_no_bit(monkeypatch):
    monkeypatch.setattr(tuning, "MIN_ELEMENTS_FOR_THREADS", 10)
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 3)
    rng = np.random.default_rng(0)
    for shape in ((1000,), (40, 25), (5, 8, 25)):
        a, b = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
        row = rng.normal(size=shape[-1:]).astype(np.float32)
        program = in_c(lambda a, b, row: (a * b + row) / (1.0 + b * b), a, b, row)
        assert "all" not in program.native.ops
        program.run("all")
        assert np.array_equal(program.outputs["out"], (a * b + row) / (1.0 + b * b))


def test_the_linker_leaves_what_it_cannot_call():
    linker = Linker(None, lambda: 1)
    a = np.zeros((4, 6))
    assert linker.elementwise(np.exp, [a[:, ::2]], np.zeros((4, 3))) is None
    assert linker.elementwise(np.modf, [a], a.copy()) is None
    assert linker.elementwise(np.exp, [a.astype(int)], a) is None
    assert (
        linker.product(np.zeros((2, 2, 3, 3)), a[:3, :3], np.zeros((2, 2, 3, 3)))
        is None
    )


def test_products_of_views_have_the_bits_that_c_gives_them():
    rng = np.random.default_rng(0)
    x, delta = (rng.normal(size=(256, n)).astype(np.float32) for n in (128, 8))
    for a, b in (
        (x[:, :64].T[:, :128], delta[:128]),
        (x[:, 64:].T, delta),
        (x[:, :64], x[:64, ::2]),
        (x[::2], x[:, ::-1].T[:, :7]),
        (x.T[:, :100], delta[:100]),
    ):
        out = np.empty((len(a), b.shape[1]), np.float32)
        function, arguments = primitives.product(CPU, a, b[: a.shape[1]], out)
        function(*arguments)
        assert np.array_equal(out, np.matmul(a, b[: a.shape[1]]))


# The compiler of the package ziglang.
