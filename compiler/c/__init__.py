"""Recorded programs as machine code: loops in C, NumPy's own inner loops, one table."""

from xpnet.compiler.c.build import (
    Build,
    BuildError,
    FolderError,
    available,
    expected,
    refuse,
    welcome,
)
from xpnet.compiler.c.linker import Linker
from xpnet.compiler.c.native import Native, NotCompiledError
from xpnet.compiler.c.threads import THREAD_TEAMS
from xpnet.compiler.c.toolchain import compiler

__all__ = [
    "THREAD_TEAMS",
    "Build",
    "BuildError",
    "FolderError",
    "Linker",
    "Native",
    "NotCompiledError",
    "available",
    "compiler",
    "expected",
    "refuse",
    "welcome",
]
