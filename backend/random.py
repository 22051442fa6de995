"""Randomness on the host: the same seed gives the same numbers for every device.

What is drawn before a step (weights, the order of the samples) comes from NumPy's
Philox, keyed by what it is for. What is drawn inside a step is `trace/noise.py`'s.
Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

import operator
from contextlib import suppress
from typing import Any

import numpy as np

WEIGHTS, ORDER, NOISE = 0, 1, 2  # streams: what a generator is for
GRADIENT_NOISE = 4  # 3 is the gradient check's


def generator(seed: int, *stream: int) -> np.random.Generator:
    """A host generator for (seed, *stream); equal keys give equal numbers."""
    key: Any = tuple(map(operator.index, (seed, *stream)))
    with suppress(OverflowError):  # the same words, read faster
        key = np.array(key, np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def stream_key(seed: int, *stream: int) -> int:
    """A 32-bit key for (seed, *stream)."""
    return int(np.random.SeedSequence((seed, *stream)).generate_state(1)[0])
