"""Sample weights: only their ratios count, so their unit may be chosen."""

import numpy as np

from xpnet.backend import Array

# Exponents of 2 between which the largest weight stays as it is: float32 then holds
# weights 33 decades below it, and the sums of many above it.
ORDINARY = 16


def scaled(weights: Array) -> Array:
    """The weights times a power of two that brings the largest near 1.

    J = Σ w l / Σ w does not depend on the unit of w, and a power of two leaves every
    digit as it is; weights of an ordinary size stay what they are. To be taken before
    weights become float32, where 1e300 is infinite and 1e-46 is 0.

    Args:
        weights: (samples,), finite and at least 0.
    """
    if weights.dtype.kind != "f":
        return weights  # whole numbers fit as they are
    top = weights.max()
    top = top if isinstance(top, np.floating) else float(top)  # of a device
    exponent = int(np.frexp(top)[1])
    if abs(exponent) <= ORDINARY:
        return weights
    wide = weights.astype(np.float64) if weights.dtype.itemsize < 8 else weights
    return np.ldexp(wide, -exponent)
