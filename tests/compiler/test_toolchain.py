"""Which C compiler is taken, with which options, and what tells it from others."""

import os
import subprocess
import sys

import pytest

from xpnet.compiler import c as native
from xpnet.compiler import how_compiled
from xpnet.compiler.c import toolchain

pytestmark = pytest.mark.skipif(not native.available(), reason="no C compiler")


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
