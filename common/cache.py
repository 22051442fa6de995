"""The cache: what is worth keeping between processes, and may be lost at any time.

Machine code lies there, so another user who could write there could run code here. The
folder is one that this user alone can write. A file ends with a hash of its name and
its content; what does not fit it, or is not this user's own file, is removed and made
anew. A process may be killed at any moment: what is not finished has a name of its own
(`Part`), and the next process removes it.
"""

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from xpnet.common.console import warn
from xpnet.common.files import BusyError, locked
from xpnet.common.private_folder import UnsafeError, exposed, private, temporary

LIMIT = 256.0  # megabytes, where XPNET_CACHE_SIZE says nothing
MOST_FILES = 4096
SPARE = 0.1  # of the limit is free after the least recently used files have gone
LARGEST = 1 << 28  # bytes of one file
SUM = 2 * 32 + 2  # bytes at the end of a file: a line of its own
DAY = 86400.0  # seconds
PART = "part-[0-9a-f]{16}"

# What files are there, by name. Measurements cannot be made anew without asking.
KINDS = {
    "libraries": r"xpnet_[0-9a-f]{32}\.so",
    "programs": r"[0-9a-f]{32}\.program",
    "wanted": r"xpnet_[0-9a-f]{32}\.(wanted|c)",
    "measured": r"crossover\.json",
}
LASTING = "measured"


# The folder.


@cache
def cache_directory() -> Path:
    """XPNET_CACHE_DIR, `xpnet` in the user's cache, or a temporary folder where neither
    can be written by this user alone.

    Warns:
        RuntimeWarning: XPNET_CACHE_DIR names a folder that is not safe from others.

    Raises:
        ValueError: see `limit`.
        OSError: there is no place for a temporary folder either.
    """
    limit()
    named = os.environ.get("XPNET_CACHE_DIR")
    try:
        return private(Path(named) if named else _usual())
    except UnsafeError as error:
        folder = temporary()
        if named:
            told = f"XPNET_CACHE_DIR: {named} is not used ({error}); {folder} is"
            warn(told, RuntimeWarning, stacklevel=2)
        return folder
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return temporary()


def _usual() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xpnet"


# What is not finished.


class Part:
    """A new file or folder in the cache, removed at the end of a `with` block.

    A lock of the operating system tells that its process lives.

    Args:
        folder: make a folder.

    Attributes:
        path: its place. A file that has been renamed stays.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: bool = False) -> None:
        place = cache_directory()
        _sweep(place)
        self.path = place / f"part-{os.urandom(8).hex()}"
        self._lock, making = ExitStack(), ExitStack()
        with making:
            # Some file systems have no locks: their parts stay for a day.
            if sys.platform != "win32":
                with suppress(OSError):
                    making.enter_context(locked(place, wait=10.0, shared=True))
            if folder:
                self.path.mkdir(mode=0o700)
            else:
                self.path.touch(mode=0o600, exist_ok=False)
            if sys.platform != "win32":
                with suppress(OSError):
                    self._lock.enter_context(locked(self.path, wait=0.0))

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove what is left of it."""
        _remove(self.path)
        self.leave()

    def leave(self) -> None:
        """Let it be: in a child of fork it is the parent's."""
        self._lock.close()


_SWEPT: set[Path] = set()  # in these no part was left that belongs to another process


def _sweep(place: Path) -> None:
    """Remove what killed processes have left.

    Done with each new part until no other is there: the lock of a process that was
    killed as it started its compiler goes a moment after it.
    """
    if place in _SWEPT:
        return
    with suppress(OSError), ExitStack() as alone:
        if sys.platform != "win32":
            try:
                alone.enter_context(locked(place, wait=1.0))
            except BusyError:
                return  # another process is at it
            except OSError:
                pass  # there are no locks here: see `_left`
        parts = [p for p in place.glob("part-*") if re.fullmatch(PART, p.name)]
        left = [path for path in parts if _left(path)]
        for path in left:
            # Renamed first: a compiler that has lost its parent may still write.
            with suppress(OSError):
                _remove(path.rename(place / f"part-{os.urandom(8).hex()}"))
        if left == parts:
            _SWEPT.add(place)


def _left(path: Path) -> bool:
    """Whether the process that made this part has ended."""
    with suppress(OSError):
        if time.time() - os.lstat(path).st_mtime > DAY:
            return True
        if sys.platform != "win32":
            with locked(path, wait=0.0):
                return True
    return False


def _remove(path: Path) -> None:
    """Remove a file or a folder; nothing is said where that fails."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


# What is kept.


def keep(name: str, content: bytes) -> Path:
    """Make `content` what `kept(name)` finds.

    Raises:
        OSError: it cannot be written; what was kept before still is.
    """
    path, data = cache_directory() / name, content + _sum(name, content)
    with Part() as part:
        part.path.write_bytes(data)
        os.replace(part.path, path)
    _make_room(len(data))
    return path


def kept(name: str) -> bytes | None:
    """What was kept under `name`; None where nothing was, or it is not sound.

    A file that is not sound is removed: one that was cut off or changed, a link, one
    that another user owns or can write.
    """
    path = cache_directory() / name
    try:
        data = _own(path)
    except FileNotFoundError:
        return None
    except OSError:
        data = b""
    content = data[:-SUM]
    if data[-SUM:] != _sum(name, content):
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)  # used: the last to go
    return content


def _sum(name: str, content: bytes) -> bytes:
    """The last line of a file."""
    digest = sha256(name.encode() + b"\0")
    digest.update(content)
    return b"\n" + digest.hexdigest().encode() + b"\n"


def _own(path: Path) -> bytes:
    """All bytes of a file that this user alone can write; none of anything else.

    Raises:
        OSError: it is not there, or is a link, or cannot be read.
    """
    how = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        how |= getattr(os, name, 0)
    handle = os.open(path, how)
    try:
        info = os.fstat(handle)
        sound = stat.S_ISREG(info.st_mode) and not exposed(info)
        if not sound or info.st_size > LARGEST:
            return b""
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


# How much is kept.


class Entry(NamedTuple):
    """A file in the cache.

    Attributes:
        kind: of `KINDS`.
        path: its place.
        size: bytes.
        used: when it was last used, in nanoseconds of the system's clock.
    """

    kind: str
    path: Path
    size: int
    used: int


def limit() -> int:
    """Bytes that the cache may hold: XPNET_CACHE_SIZE is in megabytes.

    Raises:
        ValueError: it is not a number, or below 0.
    """
    told = os.environ.get("XPNET_CACHE_SIZE") or LIMIT
    try:
        size = float(told)
    except ValueError:
        size = -1.0
    if not 0.0 <= size < 1e9:
        raise ValueError(
            f"XPNET_CACHE_SIZE: expected a number of megabytes >= 0, got {told!r}"
        )
    return int(size * 1e6)


def entries() -> Iterator[Entry]:
    """The files that are xpnet's; others are left alone."""
    with suppress(OSError), os.scandir(cache_directory()) as files:
        for file in files:
            kinds = [k for k, name in KINDS.items() if re.fullmatch(name, file.name)]
            with suppress(OSError):
                if kinds and not file.is_dir(follow_symlinks=False):
                    info = file.stat(follow_symlinks=False)
                    path = Path(file.path)
                    yield Entry(kinds[0], path, info.st_size, info.st_mtime_ns)


def clear() -> list[Entry]:
    """Remove all files but measurements; returns those that have gone."""
    place = cache_directory()
    _SWEPT.discard(place)
    _sweep(place)
    return [e for e in entries() if e.kind != LASTING and _unlinked(e.path)]


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


class _Room:
    """How many bytes and files may come before the folder is looked through."""

    left, files = 0, 0


def _make_room(size: int) -> None:
    """Count a new file; remove the least recently used where there are too many."""
    _Room.left -= size
    _Room.files -= 1
    if _Room.left >= 0 and _Room.files >= 0:
        return
    most = limit()
    found = sorted((e for e in entries() if e.kind != LASTING), key=lambda e: e.used)
    total, count = sum(e.size for e in found), len(found)
    if total > most or count > MOST_FILES:
        for entry in found:
            if total <= most * (1 - SPARE) and count <= MOST_FILES * (1 - SPARE):
                break
            if _unlinked(entry.path):
                total, count = total - entry.size, count - 1
    # Other processes write too.
    _Room.left, _Room.files = (most - total) // 4, (MOST_FILES - count) // 4
