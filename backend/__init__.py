"""Where arrays live and how calls run."""

from xpnet.backend.backend import Backend
from xpnet.backend.compile import compile_tape
from xpnet.backend.devices import cuda_status, get_backend
from xpnet.backend.failures import DeviceError
from xpnet.backend.formula import Formula, derivative
from xpnet.backend.members import PerMember
from xpnet.backend.norms import within
from xpnet.backend.program import Call, Program
from xpnet.backend.random import (
    GRADIENT_NOISE,
    NOISE,
    ORDER,
    WEIGHTS,
    Noise,
    generator,
    stream_key,
)
from xpnet.backend.replay import Replay, can_compile, how_compiled
from xpnet.backend.sums import batch_mean, batch_sum, feature_mean, feature_sum
from xpnet.backend.tape import Tape
from xpnet.backend.trace import Array, Shape, Traced, TraceError

__all__ = [
    "GRADIENT_NOISE",
    "NOISE",
    "ORDER",
    "WEIGHTS",
    "Array",
    "Backend",
    "Call",
    "DeviceError",
    "Formula",
    "Noise",
    "PerMember",
    "Program",
    "Replay",
    "Shape",
    "Tape",
    "TraceError",
    "Traced",
    "batch_mean",
    "batch_sum",
    "can_compile",
    "compile_tape",
    "cuda_status",
    "derivative",
    "feature_mean",
    "feature_sum",
    "generator",
    "get_backend",
    "how_compiled",
    "stream_key",
    "within",
]
