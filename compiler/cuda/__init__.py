"""CUDA kernels: written by hand, generated from a step's formulas, launched."""

from xpnet.compiler.cuda.driver import Driver, Function, Module
from xpnet.compiler.cuda.fusion import DevicePlan, can_join
from xpnet.compiler.cuda.kernel import Kernel
from xpnet.compiler.cuda.kernel_writer import emit
from xpnet.compiler.cuda.launch import (
    LaunchError,
    Parameter,
    Signature,
    Strided,
    bind,
    check_grid,
    signatures,
)
from xpnet.compiler.cuda.module import Kernels, dot_parts, handwritten, is_dot
from xpnet.compiler.loop_nest import frame_of, padded

__all__ = [
    "DevicePlan",
    "Driver",
    "Function",
    "Kernel",
    "Kernels",
    "LaunchError",
    "Module",
    "Parameter",
    "Signature",
    "Strided",
    "bind",
    "can_join",
    "check_grid",
    "dot_parts",
    "emit",
    "frame_of",
    "handwritten",
    "is_dot",
    "padded",
    "signatures",
]
