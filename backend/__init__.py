"""Where arrays live: a device, its array module, arrays made, moved and read back."""

from xpnet.backend.arrays import Array, Shape
from xpnet.backend.backend import Backend
from xpnet.backend.devices import cuda_status, get_backend
from xpnet.backend.failures import DeviceError
from xpnet.backend.random import (
    GRADIENT_NOISE,
    NOISE,
    ORDER,
    WEIGHTS,
    generator,
    stream_key,
)

__all__ = [
    "GRADIENT_NOISE",
    "NOISE",
    "ORDER",
    "WEIGHTS",
    "Array",
    "Backend",
    "DeviceError",
    "Shape",
    "cuda_status",
    "generator",
    "get_backend",
    "stream_key",
]
