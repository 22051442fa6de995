"""CUDA kernels: written by hand, generated from a step's formulas, launched."""

from xpnet.backend.cuda.driver import Driver, Function, Module
from xpnet.backend.cuda.emit import emit
from xpnet.backend.cuda.frame import frame_of, padded
from xpnet.backend.cuda.kernel import Kernel
from xpnet.backend.cuda.launch import (
    LaunchError,
    Parameter,
    Signature,
    Strided,
    bind,
    check_grid,
    signatures,
)
from xpnet.backend.cuda.program import Kernels, dot_parts, handwritten, is_dot
from xpnet.backend.cuda.schedule import DevicePlan, can_join

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
