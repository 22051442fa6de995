"""C text to a loaded library, by the compiler that the machine has.

The compiler is what CC names, else cc, gcc or clang. Libraries are kept in the cache
(`common/cache.py`) under a hash of text, compiler, options and processor: a second
process loads what the first has compiled. Compiling goes on in a process of its own, so
that no training has to wait.
"""

import atexit
import ctypes
import hashlib
import os
import re
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from xpnet.common.cache import Part, cache_directory, keep, kept

# Every operation as IEEE 754 has it: nothing contracted, reordered or assumed away,
# whatever stands in front. Only errno and the flags of an operation do not matter.
EXACT = (
    "-fno-fast-math -fno-unsafe-math-optimizations -fsigned-zeros -fwrapv "
    "-ffp-contract=off -fno-math-errno -fno-trapping-math"
)
OPTIONS = (
    f"-std=gnu11 -O3 -fPIC -shared -pthread -w -fno-strict-aliasing {EXACT}".split()
)
if sys.platform == "linux":
    # With -ffast-math gcc links a start file that makes the whole process flush
    # subnormals to 0. The libraries need no start files.
    OPTIONS.append("-nostartfiles")
# How code is generated is not CC's to say; which linker is used, is.
GENERATES = r"-(O|f(?!use-ld=)|m(?!(32|64)\Z)|X|-?param|-?specs).+|@.+"
PATIENCE = 120.0  # seconds for one text
WORTH = 0.05  # seconds without a library after which it is worth having
MACOS = sys.platform == "darwin"
AT_EXIT = 2.0  # seconds that the end of Python waits for what is nearly done


class BuildError(RuntimeError):
    """The compiler refused, or its library cannot be loaded."""


class FolderError(BuildError):
    """There is no place where the compiler can work: a full disk, say."""

    def __init__(self, what: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(f"{what} ({_place()}: {reason})")


def _place() -> str:
    with suppress(OSError):
        return str(cache_directory())
    return "no folder for it"


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
            # Options that generate other code are left out: see `GENERATES`.
            own = [path, *(word for word in words[1:] if not re.match(GENERATES, word))]
            command = (*own, *OPTIONS, *_processor_options())
            told = (command, _files(own), _version(own), _machine(), _processor())
            return Compiler(command, repr(told))
    return None


def _files(words: list[str]) -> list[tuple[int, int]]:
    """(bytes, time) of each of `words` that is a program: "ccache gcc" is two."""
    import shutil

    paths = [shutil.which(word) for word in words]
    found = [os.stat(path) for path in paths if path is not None]
    return [(info.st_size, info.st_mtime_ns) for info in found]


def _version(words: list[str]) -> str:
    """What a launcher ("ccache", "python -m ziglang cc", a script) says of itself.

    A compiler of its own is told by its file, and need not be asked.
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
            timeout=PATIENCE,
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
    """A compiler at work, in a folder of its own within the cache.

    Raises:
        FolderError: it could not be started.
    """

    def __init__(self, command: tuple[str, ...], text: str) -> None:
        import subprocess

        part: Part | None = None
        try:
            part = Part(folder=True)
            source, self._made = part.path / "program.c", part.path / "program.so"
            self._said, self._status = part.path / "said", part.path / "status"
            source.write_text(text)
            call = [*command, "-o", str(self._made), str(source), "-lm"]
            # Not a pipe, which the compiler's own children might hold open.
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    [*self._shell(), *call],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,  # Ctrl-C is for the training
                    env={**os.environ, "TMPDIR": str(part.path)},
                )
        except OSError as error:
            if part is not None:
                part.remove()
            raise FolderError("no compiler could be started", error) from None
        self._part = part

    def _shell(self) -> list[str]:
        """What writes the exit status to a file.

        Python does not learn it where another part of the program waits for children,
        or lets the system do so (SIGCHLD).
        """
        if sys.platform == "win32":
            return []
        return ["/bin/sh", "-c", '"$@"; echo $? > "$0"', str(self._status)]

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def library(self, patience: float) -> bytes:
        """What it has made; waits for `patience` seconds at most.

        Raises:
            BuildError: nothing.
        """
        import subprocess

        try:
            status = str(self._process.wait(timeout=patience))
            if sys.platform != "win32":
                status = self._status.read_text().strip()
            if status != "0":
                lines = self._said.read_text(errors="replace").strip().splitlines()
                raise BuildError(next(iter(lines), f"exit {status or 'unknown'}"))
            return self._made.read_bytes()
        except subprocess.TimeoutExpired:
            self._kill()
            raise BuildError(f"no library after {patience:.0f} s") from None
        except OSError as error:
            raise FolderError("the compiler has left no library", error) from None
        finally:
            self._part.remove()

    def leave(self) -> None:
        """Let it be: in a child of fork it is the parent's."""
        self._process.returncode = 0
        self._part.leave()

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
        BuildError: there is no compiler.
    """

    def __init__(self, text: str) -> None:
        found = compiler()
        if found is None:
            raise BuildError("there is no C compiler")
        key = hashlib.sha256((found.identity + text).encode()).hexdigest()[:32]
        self._name, self._wish = f"xpnet_{key}.so", f"xpnet_{key}.wanted"
        self._command, self._text, self._lock = found.command, text, RLock()
        self._library: Any = None
        self._content: bytes | None = None  # of the library, not yet loaded
        self._compiling: _Compiling | None = None
        self._noted, self._wanted = False, 0.0

    def forget(self) -> None:
        """In a child of fork: the compiler is the parent's, and so are its threads."""
        self._lock = RLock()
        if self._compiling is not None:
            self._compiling.leave()
            self._compiling = None

    def want(self, seconds: float) -> None:
        """Count `seconds` that its program has run without it; enough begin it.

        A text that another process has wanted before is begun at once: short scripts
        that run again and again get their library too.

        Raises:
            BuildError: no compiler could be started.
        """
        with self._lock:
            if not self._noted:
                self._noted = True
                with suppress(OSError):  # no place to leave word for the next one
                    word = cache_directory() / self._wish
                    if word.exists():
                        self._wanted = WORTH
                    else:
                        word.touch(mode=0o600)
            self._wanted += seconds
            if self._wanted >= WORTH:
                self.begin()

    def begin(self) -> None:
        """Start the compiler, unless it has been, or the library is there.

        Raises:
            BuildError: it could not be started.
        """
        with self._lock:
            if self._compiling is None and not self._there():
                self._compiling = _Compiling(self._command, self._text)

    @property
    def done(self) -> bool:
        """Whether the library is there, or the compiler has said why it is not."""
        with self._lock:
            if self._compiling is not None:
                return self._compiling.done
            return self._there()

    def _there(self) -> bool:
        """Whether the library is loaded, or sound on disk."""
        if self._library is None and self._content is None:
            with suppress(OSError):
                self._content = kept(self._name)
        return self._library is not None or self._content is not None

    def library(self) -> Any:
        """The loaded library; waits for the compiler.

        Raises:
            BuildError: it refused, or took too long.
        """
        with self._lock:
            self.begin()
            self.end(PATIENCE)
            if self._library is None:
                assert self._content is not None
                try:
                    self._library = _loaded(self._name, self._content)
                except OSError as error:
                    with suppress(OSError):  # the next process may fare better
                        (cache_directory() / self._name).unlink()
                    raise BuildError(f"cannot be loaded: {error}") from None
                finally:
                    self._content = None
            return self._library

    def end(self, patience: float) -> None:
        """Wait for the compiler, `patience` seconds at most; keep what it has made.

        Raises:
            BuildError: it refused, or took too long.
        """
        with self._lock:
            if self._compiling is None:
                return
            try:
                self._content = self._compiling.library(max(patience, 0.0))
            finally:
                self._compiling = None
            with suppress(OSError):  # a full disk: this process has it all the same
                keep(self._name, self._content)
                (cache_directory() / self._wish).unlink(missing_ok=True)


def _loaded(name: str, content: bytes) -> Any:
    """The library `content`, which is kept under `name`.

    It is loaded from a copy without a name. The kept file may be cut off or overwritten
    at any time, which would end every process that runs it.

    Raises:
        OSError: it cannot be loaded.
    """
    with suppress(OSError, AttributeError):  # Linux alone keeps files in memory
        handle = os.memfd_create("xpnet")
        # It stays open: the loader knows a library by its path, which has this number.
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{handle}")
    path = cache_directory() / name
    with ExitStack() as stack:
        if sys.platform != "win32":  # where a loaded library cannot be overwritten
            with suppress(OSError):  # a full disk: from the kept file then
                part = stack.enter_context(Part())
                part.path.write_bytes(content)
                path = part.path
        return ctypes.CDLL(str(path))


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


def _after_fork() -> None:
    """What was being compiled is the parent's; its threads may have held locks."""
    global _LOCK
    _LOCK = Lock()
    for one in _BUILDS.values():
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
