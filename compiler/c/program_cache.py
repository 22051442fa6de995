"""The cache of programs, in memory and in files.

A program depends on the nodes of its tape and on how the leaves lie in memory, not on
their values. So it is kept as plain numbers under a hash of all that it depends on, for
the next network of the same shape, in this process or another. The files lie beside the
libraries.
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
    """Keep a program, given as plain numbers."""
    _keep(key, made)
    with suppress(OSError):  # a full disk, say: the next process makes it anew
        keep(f"{key}.program", json.dumps(made, default=int).encode())


def load(what: Recorded, wait: bool) -> Program | None:
    """The kept program of a tape; None where there is none.

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
