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
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from xpnet.common.cache import cache_directory

# Every operation as IEEE 754 has it: nothing contracted, reordered or assumed away.
# Only the error number and the flags of an operation are nobody's concern.
EXACT = "-fwrapv -ffp-contract=off -fno-math-errno -fno-trapping-math"
OPTIONS = (
    f"-std=gnu11 -O3 -fPIC -shared -pthread -w -fno-strict-aliasing {EXACT}".split()
)
PATIENCE = 120.0  # seconds for one text
WORTH = 0.05  # seconds without a library after which it is worth having
MACOS = sys.platform == "darwin"
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
    import shutil

    wanted = os.environ.get("CC", "")
    for words in [_words(wanted)] if wanted else [["cc"], ["gcc"], ["clang"]]:
        path = shutil.which(words[0]) if words else None
        if path is not None and _works(path):
            command = (path, *words[1:], *OPTIONS, *_processor_options())
            real = os.stat(path)
            machine = _machine(), _processor()
            told = (*command, real.st_size, real.st_mtime_ns, *machine)
            return Compiler(command, repr(told))
    return None


def _words(command: str) -> list[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError:  # a quote too few
        return []


def _works(path: str) -> bool:
    """False for what macOS has in its place before its tools are installed."""
    if not MACOS or not path.startswith("/usr/bin/"):
        return True
    import subprocess

    asked = subprocess.run(["xcode-select", "-p"], capture_output=True, check=False)
    return asked.returncode == 0


def _machine() -> str:
    """Such as "x86_64" or "aarch64"; "" where the system does not say."""
    return os.uname().machine.lower() if hasattr(os, "uname") else ""


@cache
def _processor() -> str:
    """The first processor's lines that say what instructions it has."""
    words = ("vendor_id", "cpu family", "model name", "flags", "features", "cpu part")
    try:
        with Path("/proc/cpuinfo").open() as lines:  # of the others nothing is read
            first = takewhile(str.strip, lines)
            found = [line.rstrip() for line in first if line.lower().startswith(words)]
    except OSError:
        return ""
    return "\n".join(found)


def _processor_options() -> list[str]:
    """This processor's own instructions, where the library's name can tell it."""
    if not _processor():
        return []
    machine = _machine()
    if machine in ("x86_64", "amd64"):
        return ["-march=native", *_vectors()]
    return ["-mcpu=native"] if machine in ("aarch64", "arm64") else []


def _vectors() -> list[str]:
    """How wide vectors are to be, where compilers may not know the processor.

    AMD's family 25 (Zen 3 and 4) takes halves of 512 bits in turn, and roots and
    quotients of halves end sooner; from family 26 (Zen 5) on they are whole.
    """
    lines = [line.partition(":") for line in _processor().splitlines()]
    told = {name.strip(): value.strip() for name, _, value in lines}
    if told.get("vendor_id") != "AuthenticAMD":
        return []
    family = told.get("cpu family", "")
    wide = family.isdigit() and int(family) >= 26
    return [f"-mprefer-vector-width={512 if wide else 256}"]


def available() -> bool:
    """Whether texts can be compiled here (none has been refused yet)."""
    return not _REFUSED and compiler() is not None


def welcome() -> bool:
    """Whether programs may be compiled unasked: XPNET_JIT=0 says no."""
    return os.environ.get("XPNET_JIT", "") != "0"


def expected(jit: bool | None) -> bool:
    """Whether a program with this `jit` will be C in the end."""
    return available() and (welcome() if jit is None else jit)


_REFUSED: list[str] = []  # why: once is enough, the next would fare no better
_BUILDS: dict[str, "Build"] = {}
_LOCK = Lock()


class _Compiling:
    """A compiler at work, in a folder of its own beside the library to be.

    Raises:
        BuildError: it could not be started.
    """

    def __init__(self, command: tuple[str, ...], text: str, path: Path) -> None:
        import shutil
        import subprocess
        import tempfile

        folder: Path | None = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="part-", dir=path.parent))
            source, self._part = folder / "program.c", folder / path.name
            self._said = folder / "said"
            source.write_text(text)
            # Not a pipe, which the compiler's own children might hold open.
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    [*command, "-o", str(self._part), str(source), "-lm"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,  # Ctrl-C is for the training
                )
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise BuildError(f"no compiler could be started: {error}") from None
        self._folder, self._path = folder, path

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def publish(self, patience: float) -> None:
        """Put its library into place; wait for `patience` seconds at most.

        Raises:
            BuildError: there is none.
        """
        import shutil
        import subprocess

        try:
            status = self._process.wait(timeout=patience)
            if status:
                lines = self._said.read_text(errors="replace").strip().splitlines()
                raise BuildError(next(iter(lines), f"exit {status}"))
            os.replace(self._part, self._path)
        except subprocess.TimeoutExpired:
            self._kill()
            raise BuildError(f"no library after {patience:.0f} s") from None
        except OSError as error:
            if not self._path.exists():  # somebody else's is as good
                raise BuildError(f"no library: {error}") from None
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self) -> None:
        """End it with all that it has started."""
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


class Build:
    """One text on its way to a library; threads may share it.

    Args:
        text: C.

    Raises:
        BuildError: there is no compiler, or no folder for what it gives.
    """

    def __init__(self, text: str) -> None:
        found = compiler()
        if found is None:
            raise BuildError("there is no C compiler")
        name = hashlib.sha256((found.identity + text).encode()).hexdigest()[:32]
        try:
            self._path = cache_directory() / f"xpnet_{name}.so"
        except (OSError, RuntimeError) as error:
            raise BuildError(f"no folder for libraries: {error}") from None
        self._command, self._text, self._lock = found.command, text, RLock()
        self._library: Any = None
        self._compiling: _Compiling | None = None
        self._noted, self._wanted = False, 0.0

    def want(self, seconds: float) -> None:
        """Count `seconds` that its program has run without it; enough begin it.

        A text that another process has wanted before is begun at once: short scripts
        that run again and again get their library too.

        Raises:
            BuildError: no compiler could be started.
        """
        with self._lock:
            if not self._noted:
                self._noted, word = True, self._path.with_suffix(".c")
                if word.exists():
                    self._wanted = WORTH
                else:
                    with suppress(OSError):  # no place to leave word for the next one
                        word.write_text(self._text)
            self._wanted += seconds
            if self._wanted >= WORTH:
                self.begin()

    def begin(self) -> None:
        """Start the compiler, unless it has been, or the library is on disk."""
        with self._lock:
            if not (self._library or self._compiling or self._path.exists()):
                self._compiling = _Compiling(self._command, self._text, self._path)

    @property
    def done(self) -> bool:
        """Whether the library is there, or the compiler has said why it is not."""
        with self._lock:
            if self._compiling is not None:
                return self._compiling.done
            return self._library is not None or self._path.exists()

    def library(self) -> Any:
        """The loaded library; waits for the compiler.

        Raises:
            BuildError: it refused, or took too long.
        """
        with self._lock:
            self.begin()
            self.end(PATIENCE)
            if self._library is None:
                try:
                    self._library = ctypes.CDLL(str(self._path))
                except OSError as error:
                    with suppress(OSError):
                        self._path.unlink()  # the next process may fare better
                    raise BuildError(f"cannot be loaded: {error}") from None
            return self._library

    def end(self, patience: float) -> None:
        """Wait for the compiler, `patience` seconds at most; leave nothing behind.

        Raises:
            BuildError: it refused, or took too long.
        """
        with self._lock:
            if self._compiling is not None:
                try:
                    self._compiling.publish(max(patience, 0.0))
                finally:
                    self._compiling = None


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
        with suppress(BuildError):
            one.end(end - time.monotonic())
