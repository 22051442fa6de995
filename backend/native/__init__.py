"""Recorded programs as machine code: loops in C, NumPy's own inner loops, one table."""

from xpnet.backend.native.build import (
    WORTH,
    Build,
    BuildError,
    available,
    compiler,
    expected,
    refuse,
    welcome,
)
from xpnet.backend.native.link import Linker, Native, NotCompiledError
from xpnet.backend.native.steps import Steps, copy, possible, take

__all__ = [
    "WORTH",
    "Build",
    "BuildError",
    "Linker",
    "Native",
    "NotCompiledError",
    "Steps",
    "available",
    "compiler",
    "copy",
    "expected",
    "possible",
    "refuse",
    "take",
    "welcome",
]
