"""C text to a loaded library, by the compiler that the machine has.

Libraries are kept in the cache (`common/cache.py`) under a hash of text, compiler,
options and processor: a second process loads what the first has compiled. The compiler
is a process of its own, so no training waits for it.
"""

import atexit
import ctypes
import hashlib
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from threading import Lock, RLock
from typing import Any

from xpnet.common.cache import Part, cache_directory, keep, kept
from xpnet.compiler import tuning
from xpnet.compiler.c.toolchain import compiler

TEMPORARY = ("TMPDIR", "ZIG_LOCAL_CACHE_DIR")


class BuildError(RuntimeError):
    """The compiler failed, or its library cannot be loaded."""


class FolderError(BuildError):
    """The compiler has no folder to work in: the disk is full, for example."""

    def __init__(self, what: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(f"{what} ({_place()}: {reason})")


def _place() -> str:
    with suppress(OSError):
        return str(cache_directory())
    return "no folder for it"


def available() -> bool:
    """Whether texts can be compiled here, and no compilation has failed."""
    return not _REFUSED and compiler() is not None


def welcome() -> bool:
    """Whether programs are compiled by default: not with XPNET_JIT=0."""
    return os.environ.get("XPNET_JIT", "") != "0"


def expected(jit: bool | None) -> bool:
    """Whether a program with this `jit` will be C in the end."""
    return available() and (welcome() if jit is None else jit)


_REFUSED: list[str] = []  # errors: after one, no other text is tried
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
                    # Where compilers, and zig above all, leave what is in between.
                    env=os.environ | dict.fromkeys(TEMPORARY, str(part.path)),
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
        """Leave it to the parent: this is a child of fork."""
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
        self._patience = found.patience
        self._library: Any = None
        self._content: bytes | None = None  # of the library, not yet loaded
        self._compiling: _Compiling | None = None
        self._noted, self._wanted = False, 0.0

    def forget(self) -> None:
        """Forget the compiler: in a child of fork it belongs to the parent."""
        self._lock = RLock()
        if self._compiling is not None:
            self._compiling.leave()
            self._compiling = None

    def want(self, seconds: float) -> None:
        """Count `seconds` that its program has run without it; enough start it.

        A text that an earlier process has counted is started at once, so that short
        scripts that run often get their library too.

        Raises:
            BuildError: no compiler could be started.
        """
        with self._lock:
            if not self._noted:
                self._noted = True
                with suppress(OSError):  # no place to leave word for the next one
                    word = cache_directory() / self._wish
                    if word.exists():
                        self._wanted = tuning.COMPILE_AFTER_S
                    else:
                        word.touch(mode=0o600)
            self._wanted += seconds
            if self._wanted >= tuning.COMPILE_AFTER_S:
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
        """Whether the library exists, or the compiler has failed."""
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
            self.end(self._patience)
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
        # It stays open: the loader identifies a library by its path, with this number.
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
    """Compile no other text in this process."""
    _REFUSED.append(str(error))


@atexit.register
def _end_all() -> None:
    """Wait for compilers that run: the next process uses their libraries."""
    end = time.monotonic() + tuning.EXIT_WAIT_S
    for one in _BUILDS.values():
        with suppress(BuildError):
            one.end(end - time.monotonic())


def _after_fork() -> None:
    """Compilers belong to the parent; its threads may have held locks."""
    global _LOCK
    _LOCK = Lock()
    for one in _BUILDS.values():
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
