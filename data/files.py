"""Files on disk, as every loader first meets them, and what they may become in memory.

A small or sparse file may claim to hold any amount. So what a file is about to take is
compared with the memory that is free before it is taken: `check_memory`.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from xpnet.common import printable, shortened

LIMIT = "XPNET_MAX_BYTES"
SHARE = 0.8  # of the free memory
UNKNOWN = 8 << 30  # bytes, where the system does not tell what is free
KINDS = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def existing_file(path: str | Path) -> Path:
    """`path` as a Path; raises FileNotFoundError or ValueError when it is no file.

    A pipe is refused: opening one waits for a writer, perhaps for ever.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{shown(path)}: expected a file, found none; hint: check the path and the "
            f"working folder"
        ) from None
    except ValueError as error:  # a NUL in the name
        raise ValueError(f"{shown(path)}: expected a path, got {error}") from None
    if stat.S_ISDIR(mode):
        raise ValueError(
            f"{shown(path)}: expected a file, got a folder; hint: name the file inside "
            "it"
        )
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise ValueError(
            f"{shown(path)}: expected a regular file, got {kind}; hint: write it into "
            "a file first, cat PIPE > FILE"
        )
    return path


def shown(path: str | Path) -> str:
    """`path` for a message: in one line, without control characters."""
    return shortened(printable(str(path)), 200)


def listed(names: Sequence[str]) -> str:
    """The first names, safe to print."""
    more = ["..."] if len(names) > 10 else []
    return ", ".join([*map(printable, names[:10]), *more]) or "none"


def check_memory(what: str, needed: float) -> None:
    """Raise ValueError unless `needed` bytes can be had.

    The limit is the environment variable XPNET_MAX_BYTES, or else a share of the
    memory that is free.
    """
    limit = memory_limit()
    if needed > limit:
        raise ValueError(
            f"{what} would take {_size(needed)} in memory, more than the limit of "
            f"{_size(limit)}; hint: use fewer samples or columns, or raise the limit "
            f"with {LIMIT}=BYTES"
        )


def memory_limit() -> float:
    """Bytes that a file may become."""
    text = os.environ.get(LIMIT)
    if not text:
        return SHARE * _free()
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{LIMIT}: expected a whole number of bytes, got {text!r}")
    return int(text)


def _free() -> float:
    """Bytes of memory that are free, no more than a container may use."""
    found = [_available() or UNKNOWN]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            found.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(found)


def _available() -> int:
    """Linux tells what is free, other systems what there is; 0 where none is told."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return 0


def _size(count: float) -> str:
    """Bytes in words."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count:.0f} bytes"
