"""The C compiler: which one there is, its options and its identity.

It is what CC names, else cc, gcc or clang, else the one in the Python package ziglang.
"""

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from xpnet.compiler import tuning

# Every operation as IEEE 754 has it: nothing contracted, reordered or assumed away,
# whatever stands in front. Only errno and the flags of an operation do not matter.
EXACT = (
    "-fno-fast-math -fno-unsafe-math-optimizations -fsigned-zeros -fwrapv "
    "-ffp-contract=off -fno-math-errno -fno-trapping-math"
)
OPTIONS = f"-std=gnu11 -O3 -shared -w -fno-strict-aliasing {EXACT}".split()
if sys.platform != "win32":
    OPTIONS += ["-fPIC", "-pthread"]
if sys.platform == "linux":
    # With -ffast-math gcc links a start file that makes the whole process flush
    # subnormals to 0. The libraries need no start files.
    OPTIONS.append("-nostartfiles")
# Options in CC that change the generated code are ignored; the linker may be chosen.
GENERATES = r"-(O|f(?!use-ld=)|m(?!(32|64)\Z)|X|-?param|-?specs).+|@.+"
MACOS = sys.platform == "darwin"


@dataclass(frozen=True)
class Compiler:
    """A C compiler.

    Attributes:
        command: with options.
        identity: no other compiler or processor has it.
        name: for messages.
        patience: seconds that a text may take.
    """

    command: tuple[str, ...]
    identity: str
    name: str = ""
    patience: float = tuning.COMPILE_TIMEOUT_S


@cache
def compiler() -> Compiler | None:
    """The machine's C compiler; None where there is none, or no 64 bits."""
    if sys.maxsize < 2**32:
        return None
    import shutil

    wanted = os.environ.get("CC", "")
    for words in [_words(wanted)] if wanted else [["cc"], ["gcc"], ["clang"]]:
        path = shutil.which(words[0]) if words else None
        if path is not None and _works(path):
            # Options that generate other code are left out: see `GENERATES`.
            own = [path, *(word for word in words[1:] if not re.match(GENERATES, word))]
            return _with_options(own, [_files(own), _version(own)], " ".join(own))
    return None if wanted else _from_wheel()


def _with_options(
    words: list[str],
    facts: list[object],
    name: str,
    patience: float = tuning.COMPILE_TIMEOUT_S,
) -> Compiler:
    command = (*words, *OPTIONS, *_processor_options())
    identity = repr((command, facts, _machine(), _processor()))
    return Compiler(command, identity, name, patience)


def _from_wheel() -> Compiler | None:
    """The compiler in the package ziglang; None where that is not installed."""
    import importlib.util
    from importlib import metadata

    found = importlib.util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        return None
    folder = found.submodule_search_locations[0]
    try:
        version = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        version = ""
    words = [sys.executable, "-m", "ziglang", "cc"]
    facts: list[object] = [version, _files([os.path.join(folder, "zig")])]
    name = f"zig cc of the Python package ziglang {version}".rstrip()
    return _with_options(words, facts, name, tuning.FIRST_COMPILE_TIMEOUT_S)


def _files(words: list[str]) -> list[tuple[int, int]]:
    """(bytes, time) of each of `words` that is a program: "ccache gcc" is two."""
    import shutil

    paths = [shutil.which(word) for word in words]
    found = [os.stat(path) for path in paths if path is not None]
    return [(info.st_size, info.st_mtime_ns) for info in found]


def _version(words: list[str]) -> str:
    """The version of a launcher ("ccache gcc", "python -m ziglang cc", a script).

    A compiler itself is identified by its file: no version is needed.
    """
    real = os.path.realpath(words[0]).removesuffix(".exe").rstrip("0123456789.-")
    if real.endswith(("gcc", "clang")) and not _is_script(words[0]):
        return ""
    import subprocess

    try:
        run = subprocess.run(
            [*words, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=tuning.COMPILE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.decode(errors="replace")


def _is_script(path: str) -> bool:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(2) == b"#!"
    return False


def _words(command: str) -> list[str]:
    import shlex

    try:
        # A backslash separates folders on Windows.
        words = shlex.split(command, posix=sys.platform != "win32")
    except ValueError:  # a quote too few
        return []
    return [word.strip('"') for word in words] if sys.platform == "win32" else words


def _works(path: str) -> bool:
    """False for what macOS has in its place before its tools are installed."""
    if not MACOS or not path.startswith("/usr/bin/"):
        return True
    import subprocess

    asked = subprocess.run(["xcode-select", "-p"], capture_output=True, check=False)
    return asked.returncode == 0


def _machine() -> str:
    """Such as "x86_64" or "aarch64"; "" where it is unknown."""
    return os.uname().machine.lower() if hasattr(os, "uname") else ""


@cache
def _processor() -> str:
    """The first processor's lines about its instructions."""
    words = ("vendor_id", "cpu family", "model name", "flags", "features", "cpu part")
    try:
        with Path("/proc/cpuinfo").open() as lines:  # of the others nothing is read
            first = takewhile(str.strip, lines)
            found = [line.rstrip() for line in first if line.lower().startswith(words)]
    except OSError:
        return ""
    return "\n".join(found)


def _processor_options() -> list[str]:
    """This processor's own instructions, if the processor is known."""
    if not _processor():
        return []
    machine = _machine()
    if machine in ("x86_64", "amd64"):
        return ["-march=native", *_vectors()]
    return ["-mcpu=native"] if machine in ("aarch64", "arm64") else []


def _vectors() -> list[str]:
    """The width of vectors, for processors newer than the compiler.

    AMD's family 25 (Zen 3 and 4) takes halves of 512 bits in turn, and roots and
    quotients of halves end sooner; from family 26 (Zen 5) on they are whole.
    """
    lines = [line.partition(":") for line in _processor().splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in lines}
    if fields.get("vendor_id") != "AuthenticAMD":
        return []
    family = fields.get("cpu family", "")
    wide = family.isdigit() and int(family) >= 26
    return [f"-mprefer-vector-width={512 if wide else 256}"]
