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
from xpnet.backend.native.share import crew_size, product_in_parts
from xpnet.backend.native.steps import Epochs, Steps, copy, possible, take

__all__ = [
    "WORTH",
    "Build",
    "BuildError",
    "Epochs",
    "Linker",
    "Native",
    "NotCompiledError",
    "Steps",
    "available",
    "compiler",
    "copy",
    "crew_size",
    "expected",
    "possible",
    "product_in_parts",
    "refuse",
    "take",
    "welcome",
]
