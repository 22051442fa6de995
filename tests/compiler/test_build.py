"""The C compiler: which one, with which options, and what its libraries are kept by."""

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
from tests.training.examples import trainer
from tests.ways import everything, same
from xpnet.common import cache
from xpnet.common.cache import keep, kept
from xpnet.compiler import c as native
from xpnet.compiler import tuning
from xpnet.compiler.c import build, toolchain

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")


@pytest.fixture
def impatient(monkeypatch):
    """Programs are compiled unasked, after no time at all."""
    monkeypatch.setenv("XPNET_JIT", "1")
    monkeypatch.setattr(tuning, "COMPILE_AFTER_S", 0.0)
    monkeypatch.setattr(tuning, "MAX_UNTIMED_REPLAYS", 2)


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


SCRIPT = """
import time, numpy as np, xpnet as xn
from xpnet.compiler import tuning
from xpnet.compiler.c import build
want, tuning.EXIT_WAIT_S = build.Build.want, 60.0  # however busy the machine is
build.Build.want = lambda self, seconds: want(self, 0.0)  # too short to repay it
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
