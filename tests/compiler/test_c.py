"""Programs in C: they change no bit, are compiled once, and are no obstacle."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.cases import data
from tests.compiler.programs import AT_THE_EDGES
from tests.training.examples import trainer
from tests.ways import everything, same
from xpnet.backend import get_backend
from xpnet.common import cache
from xpnet.common.cache import keep, kept
from xpnet.compiler import c as native
from xpnet.compiler import compile_tape, how_compiled, primitives, tuning
from xpnet.compiler.c import Linker, build, toolchain, ufunc_loops
from xpnet.execution import c_steps
from xpnet.trace import Tape, batch_sum

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")
CPU = get_backend("cpu")


@pytest.fixture
def no_compiler(monkeypatch):
    """A machine without one."""
    monkeypatch.setattr(build, "compiler", lambda: None)


@pytest.fixture
def refusing(monkeypatch):
    """A compiler that compiles nothing, unlike any before."""
    monkeypatch.setattr(build, "_REFUSED", [])
    monkeypatch.setattr(build, "_BUILDS", {})
    command = (sys.executable, "-c", "raise SystemExit('out of order')")
    refuses = toolchain.Compiler(command, f"refuses {time.monotonic()}")
    monkeypatch.setattr(build, "compiler", lambda: refuses)


@pytest.fixture
def impatient(monkeypatch):
    """Programs are compiled unasked, after no time at all."""
    monkeypatch.setenv("XPNET_JIT", "1")
    monkeypatch.setattr(tuning, "COMPILE_AFTER_S", 0.0)
    monkeypatch.setattr(tuning, "MAX_UNTIMED_REPLAYS", 2)


def in_c(function, *arrays, members=None, outputs=True):
    """The program of `function`."""
    tape = Tape()
    tape.segment = "all"
    out = function(*map(tape.leaf, arrays))
    found = {"out": out} if outputs else {}
    return compile_tape(tape, CPU, found, ("all",), loops=True, members=members)


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


@pytest.mark.parametrize(
    ("vendor", "family", "wanted"),
    [
        ("AuthenticAMD", 25, ["-mprefer-vector-width=256"]),
        ("AuthenticAMD", 26, ["-mprefer-vector-width=512"]),
        ("GenuineIntel", 6, []),
    ],
)
def test_vectors_are_as_wide_as_the_processor_takes_them(
    monkeypatch, vendor, family, wanted
):
    text = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: Some"
    monkeypatch.setattr(toolchain, "_processor", lambda: text)
    monkeypatch.setattr(toolchain, "_machine", lambda: "x86_64")
    assert toolchain._processor_options() == ["-march=native", *wanted]
    monkeypatch.setattr(toolchain, "_processor", lambda: "")
    assert toolchain._processor_options() == []


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


SCRIPT = """
import time, numpy as np, xpnet as xn
from xpnet.compiler.c import build
x = np.ones((4, 3), np.float32)
model = xn.Sequential([xn.Dense(4, "relu"), xn.Dense(2)])
t = xn.Trainer(model, "softmax_cross_entropy", "sgd", device="cpu", jit=JIT)
began = []
start = build._Compiling.__init__
build._Compiling.__init__ = lambda self, *a: (began.append(self), start(self, *a))[1]
t.fit(x, np.array([0, 1, 0, 1]), 3, 2)
print(len(began), t.last_step.program.native is not None)
"""


def ran(folder, jit):
    """(compilers started, in C at the end) in a process of its own."""
    environment = {**os.environ, "XPNET_CACHE_DIR": str(folder), "XPNET_JIT": "1"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.replace("JIT", str(jit))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    count, compiled = run.stdout.split()
    return int(count), compiled == "True"


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    assert ran(tmp_path, True) == (1, True)
    assert ran(tmp_path, True) == (0, True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".so", ".program"}


@pytest.mark.slow
def test_what_short_scripts_want_again_is_compiled_for_the_next_one(tmp_path):
    assert ran(tmp_path, None) == (0, False)
    assert ran(tmp_path, None)[0] == 1  # begun, and waited for at its end
    assert ran(tmp_path, None) == (0, True)


@pytest.mark.usefixtures("impatient")
def test_a_training_goes_on_in_c_when_its_library_is_there():
    x, y = data()
    plain, changing = trainer("noise", jit=False), trainer("noise")
    losses = [[], []]
    for i in range(6000):  # a minute, at most
        rows = np.roll(x, i, axis=0)  # a new array each step, read in place
        for t, seen in zip((plain, changing), losses, strict=True):
            t.step(rows, y)
            seen.append(t.loss)
        if changing.last_step.replay.compiled and i > 20:
            break
        time.sleep(0.01)
    assert changing.last_step.program.native is not None
    assert losses[0] == losses[1]
    assert same(everything(plain), everything(changing))


def test_nothing_is_compiled_unasked_where_that_is_forbidden(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "COMPILE_AFTER_S", 0.0)
    monkeypatch.setattr(build.Build, "begin", lambda self: pytest.fail("compiled"))
    x, y = data()
    t = trainer("deep")  # XPNET_JIT=0 in all tests
    t.fit(x, y, 2, 10)
    assert not t.last_step.replay.compiled


@pytest.mark.usefixtures("refusing", "impatient")
def test_a_compiler_that_refuses_is_told_of_once_and_training_goes_on():
    x, y = data()
    plain, t = trainer("deep", jit=False), trainer("deep")

    def train():
        for _ in range(6000):  # a minute, at most
            for each in (plain, t):
                each.step(x, y)
            time.sleep(0.005)
            if not t.last_step.replay._build:
                break

    with pytest.warns(RuntimeWarning, match=r"not compiled \(BuildError: out of order"):
        train()
    assert not native.available()
    assert same(everything(plain), everything(t))
    trainer("noise").fit(x, y, 1, 10)  # asks it no more


@pytest.mark.usefixtures("refusing")
def test_asked_for_a_refusing_compiler_is_an_error():
    x, y = data()
    with pytest.raises(ImportError, match=r"a C compiler: .*says: out of order"):
        trainer("deep", jit=True).fit(x, y, 1, 10)


@pytest.mark.slow
@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_asking_is_an_error():
    x, y = data()
    with pytest.raises(ImportError, match=r"needs a C compiler: .*ziglang \(pip"):
        trainer("deep", jit=True).step(x, y)
    t = trainer("deep")
    t.step(x, y)
    assert not t.last_step.replay.compiled


def test_what_cannot_be_loaded_is_told_of(cache_folder):
    made = build.Build("int x;")
    keep(made._name, b"not a library")
    with pytest.raises(native.BuildError, match="cannot be loaded"):
        made.library()
    assert not list(cache_folder.iterdir())


def test_info_tells_how_programs_are_compiled(monkeypatch):
    monkeypatch.setenv("XPNET_JIT", "1")
    assert how_compiled().startswith("in C, compiled by ")
    monkeypatch.setattr(native, "available", lambda: False)
    told = "NumPy calls; faster with a C compiler (pip install 'ziglang>=0.13')"
    assert how_compiled() == told


def test_a_compiler_that_does_not_end_is_given_up(monkeypatch, cache_folder):
    made = build.Build("int forever;")
    made._patience = 0.05
    made._command = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(native.BuildError, match="no library after"):
        made.library()
    assert not list(cache_folder.iterdir())


@pytest.mark.usefixtures("impatient", "cache_folder")
def test_a_cache_that_cannot_be_written_ends_nothing(monkeypatch):
    def full(self, folder=False):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.Part, "__init__", full)
    x, y = data()
    plain, t = trainer("deep", jit=False), trainer("deep")
    with pytest.warns(RuntimeWarning, match="no compiler could be started"):
        t.fit(x, y, 2, 10)
    plain.fit(x, y, 2, 10)
    assert same(everything(plain), everything(t))
    t.fit(x, y, 2, 10)  # and says it once


def test_threads_that_want_one_library_start_one_compiler(monkeypatch, cache_folder):
    began = []
    start = build._Compiling.__init__

    def counted(self, *arguments):
        began.append(self)
        time.sleep(0.01)
        start(self, *arguments)

    monkeypatch.setattr(build._Compiling, "__init__", counted)
    made = build.Build("int shared_by_all;")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(made.want, 1.0)
        found = [pool.submit(made.library) for _ in range(8)]
    assert len({result.result() for result in found}) == 1
    assert len(began) == 1
    assert [p.suffix for p in cache_folder.iterdir()] == [".so"]


@pytest.mark.usefixtures("cache_folder")
def test_ctrl_c_does_not_reach_the_compiler():
    made = build.Build("int alone;")
    made.begin()
    assert os.getpgid(made._compiling._process.pid) != os.getpgid(0)
    assert made.library() is not None


def test_the_largest_of_one_long_row_is_not_shared_among_threads(monkeypatch):
    monkeypatch.setattr(tuning, "MIN_ELEMENTS_FOR_THREADS", 10)
    monkeypatch.setattr("xpnet.backend.backend.blas_threads", lambda: 3)
    z = np.random.default_rng(0).normal(size=(1, 999)).astype(np.float32)
    program = in_c(lambda z: z - z.max(axis=-1, keepdims=True), z)
    program.run("all")
    assert np.array_equal(program.outputs["out"], z - z.max(axis=-1, keepdims=True))


@pytest.mark.usefixtures("cache_folder")
def test_a_full_cache_keeps_nothing_and_trains_in_c(monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    x, y = data()
    plain, t = trainer("deep", jit=False), trainer("deep", jit=True)
    for each in (plain, t):
        each.fit(x, y, 2, 10)
    assert t.last_step.program.native is not None
    assert same(everything(plain), everything(t))


@pytest.mark.slow
@pytest.mark.usefixtures("cache_folder")
def test_a_full_disk_is_told_of_where_c_was_asked_for(monkeypatch):
    def full(self, folder=False):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.Part, "__init__", full)
    x, y = data()
    told = r"no compiler could be started \(.*cache: No space left on device\)"
    with pytest.raises(native.BuildError, match=told):
        trainer("deep", jit=True).fit(x, y, 2, 10)


PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { fclose(fopen("%s", "w")); }
"""


@pytest.mark.skipif(sys.platform == "win32", reason="owners of POSIX")
@pytest.mark.parametrize("case", ["another's file", "all may write", "another's sum"])
def test_a_planted_library_is_not_run(case, cache_folder, tmp_path):
    if case == "another's file" and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    made = build.Build("int x;")
    trace, evil = tmp_path / "trace", build.Build(PLANTED % (tmp_path / "trace"))
    evil._command = tuple(o for o in evil._command if o != "-nostartfiles")
    assert evil.library() is not None
    assert trace.exists()  # it does what it is to do
    trace.unlink()
    content = kept(evil._name)
    assert content is not None
    path = keep(made._name, content)
    if case == "another's file":
        os.chown(path, 12345, -1)
    elif case == "all may write":
        path.chmod(0o666)
    else:
        os.replace(cache_folder / evil._name, path)
    assert made.library() is not None
    assert not trace.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("ends", ["well", "killed"])
def test_how_the_compiler_has_ended_is_known_without_waiting(
    ends, cache_folder, monkeypatch
):
    """As in a program that has SIGCHLD ignored: nothing is told to who waits."""
    monkeypatch.setattr(build, "_REFUSED", [])
    made = build.Build(f"int {ends};")
    if ends == "killed":
        half = "import os, sys; open(sys.argv[2], 'w').write('half')"
        kill = f"{half}; os.kill(os.getpid(), 9)"
        made._command = (sys.executable, "-c", kill)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        if ends == "well":
            assert made.library() is not None
        else:
            with pytest.raises(native.BuildError, match=r"Killed|exit 137"):
                made.library()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [p.suffix for p in cache_folder.iterdir()] == [".so"] * (ends == "well")


OPTIONS_OF_CC = """
import numpy as np, xpnet as xn
x = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3)
found = []
for jit in (True, False):
    model = xn.Sequential([xn.Dense(8, "silu"), xn.LayerNorm(), xn.Dense(2)])
    t = xn.Trainer(model, "softmax_cross_entropy", "adam", device="cpu", jit=jit)
    t.fit(x, np.arange(20) % 2, 3, 5)
    found.append((t.last_step.program.native is not None, t.predict(x)))
small = np.full(9, 1e-40, np.float32) * np.float32(0.5)
print(found[0][0], np.array_equal(found[0][1], found[1][1]), (small > 0.0).all())
"""


def under(cc, folder):
    """(in C, equal to the bit, subnormals are left) of a training in a new process."""
    environment = {**os.environ, "CC": cc, "XPNET_CACHE_DIR": str(folder)}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPTIONS_OF_CC],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


def gcc():
    """The compiler of these tests as one word."""
    return native.compiler().command[0]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["CC", "a script", "behind all others"])
def test_options_that_change_arithmetic_change_none(where, tmp_path):
    options = "-ffast-math -Ofast -funsafe-math-optimizations -ffp-contract=fast"
    script = tmp_path / "compiler"
    if where == "CC":
        name = f"{gcc()} {options}"
    else:
        words = ['"$@"', options]
        words = words if where == "behind all others" else words[::-1]
        script.write_text(f"#!/bin/sh\nexec {gcc()} {' '.join(words)}\n")
        script.chmod(0o700)
        name = str(script)
    if where == "behind all others":
        with pytest.raises(subprocess.CalledProcessError) as refused:
            under(name, tmp_path / "cache")
        assert "the compiler does not keep to IEEE 754" in refused.value.stderr
    else:
        assert under(name, tmp_path / "cache") == ["True", "True", "True"]


def test_options_that_generate_code_are_left_out_of_cc(monkeypatch):
    options = "-O0 -march=nocona -ffast-math -m32 -fuse-ld=bfd -B /usr/bin @file"
    options += " -mdaz-ftz -Xclang -fdenormal-fp-math=preserve-sign --sysroot=/"
    monkeypatch.setenv("CC", f"{gcc()} {options}")
    toolchain.compiler.cache_clear()
    try:
        command = toolchain.compiler().command
    finally:
        monkeypatch.undo()
        toolchain.compiler.cache_clear()
    left = command[1 : command.index("-std=gnu11")]
    assert left == ("-m32", "-fuse-ld=bfd", "-B", "/usr/bin", "--sysroot=/")


def test_each_program_of_a_command_is_in_the_key(tmp_path, monkeypatch):
    """ "ccache gcc" with another gcc has other libraries."""

    def identity():
        toolchain.compiler.cache_clear()
        return toolchain.compiler().identity

    launcher, other = tmp_path / "launcher", tmp_path / "other"
    for path in (launcher, other):
        path.write_text('#!/bin/sh\necho "version 1"\n')
        path.chmod(0o700)
    monkeypatch.setenv("CC", f"{launcher} {other}")
    try:
        found = [identity()]
        other.write_text('#!/bin/sh\necho "another file"\n')
        found.append(identity())
        before = launcher.stat()
        launcher.write_text('#!/bin/sh\necho "version 2"\n')
        os.utime(launcher, ns=(before.st_atime_ns, before.st_mtime_ns))
        found.append(identity())
        assert len(set(found)) == 3
        assert identity() == found[-1]
    finally:
        monkeypatch.undo()
        toolchain.compiler.cache_clear()


@pytest.mark.parametrize("name", ["", "no-such-compiler", "sh -c", "'"])
def test_the_compiler_is_what_cc_names(name, monkeypatch):
    monkeypatch.setenv("CC", name)
    toolchain.compiler.cache_clear()
    try:
        found = toolchain.compiler()
        if name in ("no-such-compiler", "'"):
            assert found is None
        elif name:
            assert os.path.basename(found.command[0]) == "sh"
            assert found.command[1] == "-c"
        else:
            assert os.path.basename(found.command[0]) in ("cc", "gcc", "clang")
    finally:
        toolchain.compiler.cache_clear()


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
    run = c_steps.Steps(program.native, first, loss, losses, grads)
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


@pytest.fixture
def only_the_wheel(monkeypatch, tmp_path):
    """A machine without compilers, and a package ziglang: its folder."""
    folder = tmp_path / "ziglang"
    about = tmp_path / "ziglang-9.8.7.dist-info"
    for made in (folder, about, tmp_path / "no programs"):
        made.mkdir()
    (folder / "__init__.py").touch()
    (folder / "zig").touch(mode=0o700)
    (about / "METADATA").write_text("Name: ziglang\nVersion: 9.8.7\n")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "no programs"))
    monkeypatch.setenv("XPNET_JIT", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    toolchain.compiler.cache_clear()
    yield folder
    toolchain.compiler.cache_clear()


def test_the_compiler_of_the_wheel_comes_last(only_the_wheel, monkeypatch):
    found = toolchain.compiler()
    assert found.command[:4] == (sys.executable, "-m", "ziglang", "cc")
    told = "in C, compiled by zig cc of the Python package ziglang 9.8.7 once"
    assert how_compiled().startswith(told)
    for path in ("cc", "gcc", "clang"):
        program = only_the_wheel.parent / "no programs" / path
        program.touch(mode=0o700)
        toolchain.compiler.cache_clear()
        assert toolchain.compiler().command[0] == str(program)
        program.unlink()
    monkeypatch.setenv("CC", "no-such-compiler")
    toolchain.compiler.cache_clear()
    assert toolchain.compiler() is None


def test_another_wheel_has_other_libraries(only_the_wheel):
    found = {toolchain.compiler().identity}
    about = only_the_wheel.parent / "ziglang-9.8.7.dist-info" / "METADATA"
    about.write_text("Name: ziglang\nVersion: 9.9.9\n")
    toolchain.compiler.cache_clear()
    found.add(toolchain.compiler().identity)
    (only_the_wheel / "zig").write_text("another")
    toolchain.compiler.cache_clear()
    found.add(toolchain.compiler().identity)
    assert len(found) == 3


def test_the_wheel_compiles_and_changes_no_bit(tmp_path):
    pytest.importorskip("ziglang", reason="the extra jit is not installed")
    command = f"{sys.executable} -m ziglang cc"
    assert under(command, tmp_path / "cache") == ["True", "True", "True"]


@pytest.mark.parametrize(
    ("system", "cc", "path"),
    [
        ("linux", "'/a b/cc'", "/a b/cc"),
        ("win32", r"C:\tools\cc.exe", r"C:\tools\cc.exe"),
        ("win32", r'"C:\a b\cc.exe"', r"C:\a b\cc.exe"),
    ],
)
def test_cc_may_name_a_path_of_its_system(system, cc, path, monkeypatch):
    monkeypatch.setattr(toolchain.sys, "platform", system)
    assert toolchain._words(f"{cc} -m32") == [path, "-m32"]
