"""A folder that this user alone can write: what lies there may be run."""

import atexit
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path


class UnsafeError(OSError):
    """Other users can change what is in a folder."""


def _user() -> int:
    return 0 if sys.platform == "win32" else os.geteuid()


def private(folder: Path) -> Path:
    """`folder`, or where others can write in it one of this user's inside it.

    Raises:
        UnsafeError: others can change what is there.
        OSError: it cannot be made, or not written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = folder.resolve()
    if sys.platform != "win32":
        if os.stat(folder).st_uid not in (0, _user()):
            raise UnsafeError("it belongs to another user")
        if exposed(os.stat(folder)):
            folder /= f"xpnet-{_user()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            if exposed(os.lstat(folder)):
                raise UnsafeError("others can write there")
        for parent in folder.parents:
            mode = os.stat(parent).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise UnsafeError(f"everyone can rename what is in {parent}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError("it cannot be written")
    return folder


def exposed(info: os.stat_result) -> bool:
    """Whether another user may have written it."""
    if sys.platform == "win32":
        return False
    shared = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISLNK(info.st_mode) or info.st_uid != _user() or bool(shared)


def temporary() -> Path:
    """A folder for all processes of this user, or one that goes with this process."""
    import shutil
    import tempfile

    shared = Path(tempfile.gettempdir()) / f"xpnet-{_user()}"
    with suppress(OSError):
        if not shared.is_symlink():  # which another user may have put there
            return private(shared)
    folder, process = Path(tempfile.mkdtemp(prefix="xpnet-")), os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == process:  # not in a child of fork
            shutil.rmtree(folder, ignore_errors=True)

    return folder
