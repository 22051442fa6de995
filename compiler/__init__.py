"""From the record of a step to a program that replays it."""

from xpnet.compiler.compile import compile_tape
from xpnet.compiler.jit import JitProgram, can_compile, how_compiled
from xpnet.compiler.primitives import Call
from xpnet.compiler.program import Program

__all__ = [
    "Call",
    "JitProgram",
    "Program",
    "can_compile",
    "compile_tape",
    "how_compiled",
]
