"""Programs that have been made before, in this process or in a file.

What a tape becomes depends on its nodes and on how its leaves lie in memory, not on
what they hold. So a program is kept as plain numbers under a hash of all that it
depends on. Another network of the same shape, the next fold, the next run of a script
get theirs from there. Files lie beside the libraries.
"""

import json
import os
from contextlib import suppress
from threading import Lock

from xpnet.common.cache import keep, kept
from xpnet.compiler import tuning
from xpnet.compiler.c.cache_key import Recorded
from xpnet.compiler.c.serialise import Made, program
from xpnet.compiler.program import Program

_KNOWN: dict[str, Made] = {}
_LOCK = Lock()


def store(key: str, made: Made) -> None:
    """Keep a program that has become plain numbers."""
    _keep(key, made)
    with suppress(OSError):  # a full disk, say: the next process makes it anew
        keep(f"{key}.program", json.dumps(made, default=int).encode())


def load(what: Recorded, wait: bool) -> Program | None:
    """The program of a tape that has been known before; None where it is new.

    Raises:
        NotCompiledError, BuildError: see `Linker.link`.
    """
    made = _KNOWN.get(what.key)
    if made is None:
        text = None
        with suppress(OSError):
            text = kept(f"{what.key}.program")
        if text is None:
            return None
        made = json.loads(text)
        _keep(what.key, made)
    return program(what, made, wait)


def _keep(key: str, made: Made) -> None:
    with _LOCK:
        while len(_KNOWN) >= tuning.MAX_PROGRAMS_IN_MEMORY:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[key] = made


def _after_fork() -> None:
    """A thread of the parent may have held the lock."""
    global _LOCK
    _LOCK = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
