"""Recorded programs as machine code: loops in C, NumPy's own inner loops, one table."""

from xpnet.backend.native.build import (
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
from xpnet.backend.native.crew import CREWS
from xpnet.backend.native.known import remade, remember
from xpnet.backend.native.link import Linker, Native, NotCompiledError
from xpnet.backend.native.plain import plain
from xpnet.backend.native.share import blocks, crew_of, cut_of
from xpnet.backend.native.signature import Recorded, recorded
from xpnet.backend.native.steps import Epochs, Steps, Whole, copy, possible, take, whole

__all__ = [
    "CREWS",
    "WORTH",
    "Build",
    "BuildError",
    "Epochs",
    "FolderError",
    "Linker",
    "Native",
    "NotCompiledError",
    "Recorded",
    "Steps",
    "Whole",
    "available",
    "blocks",
    "compiler",
    "copy",
    "crew_of",
    "cut_of",
    "expected",
    "plain",
    "possible",
    "recorded",
    "refuse",
    "remade",
    "remember",
    "take",
    "welcome",
    "whole",
]
