"""Programs that have been made before, in this process or in a file.

What a tape becomes depends on its nodes and on how its leaves lie in memory, not on
what they hold. So a program is kept as plain numbers under a hash of all that it
depends on. Another network of the same shape, the next fold, the next run of a script
get theirs from there. Files lie beside the libraries; the first line is a hash of the
rest.
"""

import hashlib
import json
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock

from xpnet.backend.native.plain import Made, program
from xpnet.backend.native.signature import Recorded
from xpnet.backend.program import Program
from xpnet.common.cache import cache_directory
from xpnet.common.files import write_whole

MOST = 256  # programs in this process
MOST_FILES = 1024  # about: looked at now and then
_KNOWN: dict[str, Made] = {}
_LOCK = Lock()
_WRITTEN = count()


def remember(key: str, made: Made) -> None:
    """Keep a program that has become plain numbers."""
    _keep(key, made)
    _write(key, made)


def remade(what: Recorded, wait: bool) -> Program | None:
    """The program of a tape that has been known before; None where it is new.

    Raises:
        NotCompiledError, BuildError: see `Linker.link`.
    """
    made = _KNOWN.get(what.key) or _read(what.key)
    return None if made is None else program(what, made, wait)


def _keep(key: str, made: Made) -> None:
    with _LOCK:
        while len(_KNOWN) >= MOST:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[key] = made


def _path(key: str) -> Path:
    return cache_directory() / f"{key}.program"


def _read(key: str) -> Made | None:
    with suppress(OSError, RuntimeError, ValueError):
        path = _path(key)
        digest, _, text = path.read_text().partition("\n")
        if digest == _digest(text):
            made: Made = json.loads(text)
            _keep(key, made)
            return made
        path.unlink()
    return None


def _write(key: str, made: Made) -> None:
    text = json.dumps(made, default=int)
    with suppress(OSError, RuntimeError):
        path = _path(key)
        if next(_WRITTEN) % (MOST_FILES // 4) == 0:
            _make_room(path.parent)
        write_whole(path, f"{_digest(text)}\n{text}", durable=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _make_room(folder: Path) -> None:
    """Delete the oldest files where there are more than `MOST_FILES`."""
    files = [(file.stat().st_mtime_ns, file) for file in folder.glob("*.program")]
    for _, file in sorted(files)[:-MOST_FILES]:
        file.unlink(missing_ok=True)
