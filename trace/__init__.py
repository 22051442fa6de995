"""What stands for an array while a step is recorded."""

from xpnet.trace.array import Traced, TraceError
from xpnet.trace.derivative import Formula, derivative
from xpnet.trace.noise import Noise
from xpnet.trace.norms import within
from xpnet.trace.per_network import PerNetwork
from xpnet.trace.sums import batch_mean, batch_sum, feature_mean, feature_sum
from xpnet.trace.tape import Tape

__all__ = [
    "Formula",
    "Noise",
    "PerNetwork",
    "Tape",
    "TraceError",
    "Traced",
    "batch_mean",
    "batch_sum",
    "derivative",
    "feature_mean",
    "feature_sum",
    "within",
]
