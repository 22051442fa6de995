"""Recorded programs as machine code: loops in C, NumPy's own inner loops, one table."""

from xpnet.compiler.c.build import (
    WORTH,
    Build,
    BuildError,
    FolderError,
    available,
    compiler,
    expected,
    refuse,
    welcome,
)
from xpnet.compiler.c.cache_key import Recorded, recorded
from xpnet.compiler.c.linker import Linker, Native, NotCompiledError
from xpnet.compiler.c.program_cache import remade, remember
from xpnet.compiler.c.row_partition import blocks, crew_of, cut_of
from xpnet.compiler.c.serialise import plain
from xpnet.compiler.c.threads import CREWS

__all__ = [
    "CREWS",
    "WORTH",
    "Build",
    "BuildError",
    "FolderError",
    "Linker",
    "Native",
    "NotCompiledError",
    "Recorded",
    "available",
    "blocks",
    "compiler",
    "crew_of",
    "cut_of",
    "expected",
    "plain",
    "recorded",
    "refuse",
    "remade",
    "remember",
    "welcome",
]
