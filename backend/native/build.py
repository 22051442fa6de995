"""C text to a loaded library, by the compiler that the machine has.

The compiler is what CC names, else cc, gcc or clang. Libraries are kept in the folder
of `cache_directory()` under a hash of text, compiler, options and processor: a second
process loads what the first has compiled. Compiling goes on in a process of its own, so
that nobody has to wait.
"""

import atexit
import ctypes
import hashlib
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from xpnet.backend.cache import cache_directory

if TYPE_CHECKING:
    import subprocess

# Every operation as IEEE 754 has it: nothing contracted, reordered or assumed away.
# Only the error number and the flags of an operation are nobody's concern.
EXACT = "-fwrapv -ffp-contract=off -fno-math-errno -fno-trapping-math"
OPTIONS = f"-std=gnu11 -O3 -fPIC -shared -w -fno-strict-aliasing {EXACT}".split()
PATIENCE = 120.0  # seconds for one text
WORTH = 0.05  # seconds without a library after which it is worth having
AT_EXIT = 2.0  # seconds that the end of Python waits for what is nearly done


class BuildError(RuntimeError):
    """The compiler refused, or its library cannot be loaded."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: its command with options, and what tells it from others."""

    command: tuple[str, ...]
    identity: str


@cache
def compiler() -> Compiler | None:
    """The machine's C compiler; None where there is none, or no 64 bits."""
    if sys.maxsize < 2**32:
        return None
    import shlex
    import shutil

    wanted = os.environ.get("CC", "")
    for name in [wanted] if wanted else ["cc", "gcc", "clang"]:
        words = shlex.split(name)
        path = shutil.which(words[0]) if words else None
        if path is not None and _works(path):
            command = (path, *words[1:], *OPTIONS, *_processor_options())
            real = os.stat(path)
            told = (*command, real.st_size, real.st_mtime_ns, _processor())
            return Compiler(command, repr(told))
    return None


def _works(path: str) -> bool:
    """False for what macOS has in its place before its tools are installed."""
    import platform
    import subprocess

    if platform.system() != "Darwin" or not path.startswith("/usr/bin/"):
        return True
    asked = subprocess.run(["xcode-select", "-p"], capture_output=True, check=False)
    return asked.returncode == 0


@cache
def _processor() -> str:
    """The first processor's lines that say what instructions it has."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    words = ("model name", "flags", "features", "cpu part")
    lines = text.partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.lower().startswith(words))


def _processor_options() -> list[str]:
    """This processor's own instructions, where the library's name can tell it."""
    if not _processor():
        return []
    import platform

    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return ["-march=native", "-mprefer-vector-width=512"]
    return ["-mcpu=native"] if machine in ("aarch64", "arm64") else []


def available() -> bool:
    """Whether texts can be compiled here (none has been refused yet)."""
    return not _REFUSED and compiler() is not None


def welcome() -> bool:
    """Whether programs may be compiled unasked: XPNET_JIT=0 says no."""
    return os.environ.get("XPNET_JIT", "") != "0"


_REFUSED: list[str] = []  # why: once is enough, the next would fare no better
_BUILDS: dict[str, "Build"] = {}
_LOCK = Lock()


class Build:
    """One text on its way to a library.

    Args:
        text: C.

    Raises:
        BuildError: there is no compiler.
    """

    def __init__(self, text: str) -> None:
        found = compiler()
        if found is None:
            raise BuildError("there is no C compiler")
        name = hashlib.sha256((found.identity + text).encode()).hexdigest()[:32]
        self._path, self._command = (
            cache_directory() / f"xpnet_{name}.so",
            found.command,
        )
        self._text = text
        self._library: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self._noted, self._wanted = False, 0.0

    def want(self, seconds: float) -> None:
        """Count `seconds` that its program has run without it; enough begin it.

        A text that another process has wanted before is begun at once: short scripts
        that run again and again get their library too.

        Raises:
            BuildError: no compiler could be started.
        """
        if not self._noted:
            self._noted, source = True, self._path.with_suffix(".c")
            if source.exists():
                self._wanted = WORTH
            else:
                with suppress(OSError):  # no place to leave word for the next process
                    source.write_text(self._text)
        self._wanted += seconds
        if self._wanted >= WORTH:
            self.begin()

    def begin(self) -> None:
        """Start the compiler, unless it has been, or the library is on disk."""
        if self._library is None and self._process is None and not self._path.exists():
            self._start()

    def _start(self) -> None:
        import shutil
        import subprocess
        import tempfile

        folder: Path | None = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="part-", dir=self._path.parent))
            source, self._part = folder / "program.c", folder / self._path.name
            source.write_text(self._text)
            self._process = subprocess.Popen(
                [*self._command, "-o", str(self._part), str(source), "-lm"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise BuildError(f"no compiler could be started: {error}") from None
        self._folder = folder

    @property
    def running(self) -> bool:
        """Whether the compiler is still at work."""
        return self._process is not None and self._process.poll() is None

    @property
    def done(self) -> bool:
        """Whether the library is in memory, or the compiler has said what it can."""
        if self._library is not None:
            return True
        return not self.running if self._process is not None else self._path.exists()

    def library(self) -> Any:
        """The loaded library; waits for the compiler.

        Raises:
            BuildError: it refused, or took too long.
        """
        self.begin()
        with _LOCK:
            if self._process is not None:
                self._finish(self._process, PATIENCE)
            if self._library is None:
                try:
                    self._library = ctypes.CDLL(str(self._path))
                except OSError as error:
                    raise BuildError(f"cannot be loaded: {error}") from None
            return self._library

    def _finish(self, process: "subprocess.Popen[bytes]", patience: float) -> None:
        """Take what the compiler gives within `patience` seconds."""
        import shutil
        import subprocess

        self._process = None
        try:
            said = process.communicate(timeout=patience)[1]
            if process.returncode:
                lines = said.decode(errors="replace").strip().splitlines()
                raise BuildError(next(iter(lines), f"exit {process.returncode}"))
            os.replace(self._part, self._path)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BuildError(f"no library after {patience:.0f} s") from None
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def end(self, patience: float) -> None:
        """Wait for `patience` seconds at most; leave nothing behind."""
        if self._process is not None:
            with suppress(BuildError, OSError):
                self._finish(self._process, max(patience, 0.0))


def build(text: str) -> Build:
    """The build of `text`; the same one for the same text."""
    with _LOCK:
        if text not in _BUILDS:
            _BUILDS[text] = Build(text)
        return _BUILDS[text]


def refuse(error: BuildError) -> None:
    """Try no other text in this process."""
    _REFUSED.append(str(error))


@atexit.register
def _end_all() -> None:
    """What has been begun is for the next process."""
    end = time.monotonic() + AT_EXIT
    for one in _BUILDS.values():
        one.end(end - time.monotonic())
