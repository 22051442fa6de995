"""CUDA kernels: written by hand, generated from a step's formulas, launched."""

from xpnet.backend.cuda.driver import Driver, Function, Module
from xpnet.backend.cuda.emit import Kernel, emit
from xpnet.backend.cuda.launch import (
    LaunchError,
    Parameter,
    Signature,
    Strided,
    bind,
    check_grid,
    signatures,
)
from xpnet.backend.cuda.program import Kernels, handwritten
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
    "emit",
    "handwritten",
    "signatures",
]
