"""Files that are there as a whole or not at all, and one writer at a time.

A process may be killed at any moment, the disk may be full, and two processes may write
to the same place. So a file is written beside its place under a name of its own, forced
to the disk, and renamed over its place in one step. Writers of one folder or file take
turns by a lock of the operating system, which ends with the process that holds it.
"""

import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xpnet.common.checks import shortened

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PART = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part\Z")  # what `write_whole` has not renamed
# What `_try_lock` is told where the lock is held.
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
LOOK = 0.02  # seconds between two attempts to take a lock
# What file systems without locks answer.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# Likewise where a folder cannot be forced to the disk, or not by this user.
NO_SYNC = {*NO_LOCKS, errno.EINVAL, errno.EACCES, errno.EPERM}


def write_whole(path: Path, data: bytes | str, durable: bool = True) -> None:
    """Make `path` a file that holds `data`, or leave it as it was.

    A link at `path` is replaced, never followed.

    Args:
        path: the file.
        data: bytes, or text to be written as UTF-8.
        durable: wait until the disk has it, so that it outlives a power cut.

    Raises:
        OSError: it cannot be written; nothing is left of the attempt.
    """
    content = data.encode() if isinstance(data, str) else data
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of the files in `folder`."""
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def remove_parts(folder: Path, ours: Callable[[str], object] | None = None) -> None:
    """Remove what killed writers have left in `folder`, whose lock the caller holds.

    Args:
        folder: where they wrote.
        ours: whether the lock is that of the writers of a file of this name; None for
            every name.
    """
    for path in folder.iterdir():
        match = PART.match(path.name)
        if match and (ours is None or ours(match[1])):
            with suppress(OSError):
                path.unlink()


class BusyError(OSError):
    """Another process or thread holds the lock."""


@contextmanager
def locked(
    path: Path, wait: float = 60.0, shared: bool = False, needed: bool = True
) -> Iterator[None]:
    """Hold the lock of a folder or file within the block.

    The operating system gives the lock back when a process ends, however it ends. It
    also keeps threads of one process apart.

    Args:
        path: a folder or a file that is there.
        wait: for so many seconds.
        shared: for readers, which keep writers out but not each other.
        needed: raise where the file system has no locks, rather than go on without.

    Raises:
        BusyError: another process or thread holds the lock all this time.
        OSError: `path` cannot be opened, or there are no locks on its file system.
    """
    end = time.monotonic() + wait
    while True:
        handle = os.open(_lock_file(path), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            while not _try_lock(handle, shared, needed):
                if time.monotonic() >= end:
                    raise BusyError(
                        f"{shortened(str(path), 200)} is being written by another "
                        f"process or thread, for more than {wait:g} s; wait for it or "
                        "name another place"
                    )
                time.sleep(LOOK)
            if not _replaced(handle, path):
                yield
                return
        finally:
            os.close(handle)


def _lock_file(path: Path) -> Path:
    """What carries the lock of `path`: itself, or on Windows a file beside it."""
    if sys.platform == "win32":
        inside = path.is_dir()
        path = path / ".lock" if inside else path.with_name(f".{path.name}.lock")
        path.touch()
    return path


def _replaced(handle: int, path: Path) -> bool:
    """Whether another file has been put in the place of the one that is locked."""
    return not os.path.samestat(os.fstat(handle), os.stat(_lock_file(path)))


def _try_lock(handle: int, shared: bool, needed: bool) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno not in NO_LOCKS or needed:
            raise
    return True
