"""Random numbers inside a step, as a formula of whole numbers.

What is drawn inside a step (dropout masks, noise) is a hash of (seed, stream, step,
position), so that NumPy, C and a GPU compute the same bits, a replayed step draws new
numbers without asking the host, and step 1000 can be drawn without steps 1 to 999.
"""

import math
from typing import Any

import numpy as np

from xpnet.backend import Array, Shape

GOLDEN = 0x9E3779B9  # 2³² / golden ratio: spreads consecutive whole numbers


def mix(h: Array) -> Array:
    """A 32-bit whole number, scattered: every input bit moves every output bit.

    Two rounds of xor-shift and multiply, as in MurmurHash3's finaliser.
    """
    h = (h ^ (h >> 16)) * 0x7FEB352D
    h = (h ^ (h >> 15)) * 0x846CA68B
    return h ^ (h >> 16)


class Noise:
    """Random numbers inside a step, for one layer.

    Attributes:
        step: uint32 array (1, 1), or (n_networks, 1, 1): steps done so far.
        key: uint32 array of the same shape: the layer's stream, one per network.
    """

    def __init__(self, step: Array, key: Array, asarray: Any) -> None:
        self.step, self.key, self._asarray = step, key, asarray
        self._positions: dict[int, Array] = {}

    def _position(self, n: int) -> Array:
        if n not in self._positions:
            spread = mix(np.arange(1, n + 1, dtype=np.uint32) * GOLDEN)
            self._positions[n] = self._asarray(spread)
        return self._positions[n]

    def bits(self, shape: Shape, draw: int = 0) -> Array:
        """uint32 of `shape` (..., batch, *features); `draw` numbers draws of a step."""
        offset = draw * 0x85EBCA6B % 2**32
        key = mix(self.step * GOLDEN + self.key + offset)
        lead = key.ndim - 2
        batch, width = shape[lead], math.prod(shape[lead + 1 :])
        rows = self._position(batch).reshape((batch, 1))
        h = mix(rows ^ (self._position(width) + key))
        return h.reshape(shape)

    def uniform(self, shape: Shape, dtype: Any, draw: int = 0) -> Array:
        """Uniform on (0, 1): (⌊bits/2⁹⌋ + ½) / 2²³, never 0 and never 1.

        23 bits, so that the half is exact in float32 too.
        """
        whole = (self.bits(shape, draw) >> 9).astype(dtype)
        return (whole + 0.5) * 2.0**-23

    def normal(self, shape: Shape, dtype: Any) -> Array:
        """Standard normal by Box and Muller (1958): √(-2 ln u) cos(2π v)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(shape, dtype, 0)))
        return radius * np.cos(2.0 * math.pi * self.uniform(shape, dtype, 1))
