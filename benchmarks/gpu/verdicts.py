"""Verdicts: what was checked, how it came out, and the figures it gave."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.benchmarks.answers import explained
from xpnet.benchmarks.cases import Array
from xpnet.compiler.drivers import driver_of

Figures = dict[str, Any]
OK, DIFFERS, FAILED, MISSING = "ok", "differs", "failed", "not installed"
SAFETY = 8.0  # both sides round, and functions are a few units off in the last place


@dataclass
class Line:
    """The result of one check.

    Attributes:
        name: of the check, within its part.
        verdict: "ok", "differs", "failed" or "not installed".
        note: what differs, or why it failed.
        figures: what it measured, plain values.
    """

    name: str
    verdict: str
    note: str = ""
    figures: Figures = field(default_factory=dict)

    def to_dict(self) -> Figures:
        """Plain values, in one level."""
        return {"name": self.name, "verdict": self.verdict, "note": self.note} | (
            {"figures": self.figures} if self.figures else {}
        )

    @classmethod
    def from_dict(cls, values: Figures) -> "Line":
        """The line that `to_dict` described."""
        return cls(**values)


class DifferenceError(Exception):
    """A comparison came out wrong.

    Args:
        note: what differs.
        figures: what was measured all the same.
    """

    def __init__(self, note: str, figures: Figures | None = None) -> None:
        super().__init__(note)
        self.figures = figures or {}


@dataclass(frozen=True)
class Check:
    """One comparison or measurement.

    Attributes:
        name: within its part.
        run: returns figures; raises DifferenceError where the device is wrong.
    """

    name: str
    run: Callable[[], Figures]

    def line(self) -> Line:
        """Run it; an error is a verdict too."""
        try:
            return Line(self.name, OK, "", self.run())
        except DifferenceError as found:
            return Line(self.name, DIFFERS, str(found), found.figures)
        except Exception as error:
            return Line(self.name, FAILED, explained(error))


def need_driver(backend: Backend) -> Any:
    """The driver that runs xpnet's own kernels.

    Raises:
        RuntimeError: the backend has none.
    """
    driver = driver_of(backend)
    if driver is None:
        raise RuntimeError(f"{backend.device} has no driver, so no kernels of xpnet's")
    return driver


@dataclass(frozen=True)
class Bound:
    """The largest allowed distance of a tensor in `dtype` from NumPy's.

        max |a - b|  ≤  8 ε max(√n s, κ)

    ε is the machine epsilon of `dtype`, s the tensor's largest entry, n the number of
    terms in the sums on the way to it (see `diagnosis/lockstep.py` for 8 √n ε s). κ is
    the factor by which the tensor magnifies rounding, as NumPy shows it: the distance
    between its float32 and float64 results, in units of float32's ε. A sum whose terms
    cancel, such as the gradient of a bias before BatchNorm, consists of rounding alone.
    """

    dtype: str
    terms: int

    def of(self, narrow: Array, wide: Array) -> float:
        """The bound, from NumPy's float32 and float64 results."""
        if wide.dtype.kind != "f":
            return 0.0
        size = float(np.abs(wide).max(initial=0.0))
        kappa = distance(narrow, wide) / float(np.finfo(np.float32).eps)
        epsilon = float(np.finfo(self.dtype).eps)
        return SAFETY * epsilon * max(math.sqrt(self.terms) * size, kappa)


def distance(a: Array, b: Array) -> float:
    """max |a - b|; infinite if an entry is not finite and differs from its partner."""
    if a.shape != b.shape:
        return math.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    apart = np.where(np.isnan(apart), math.inf, apart)
    return float(apart.max(initial=0.0))


def identical(a: Array, b: Array) -> bool:
    """Whether two arrays are bit-identical."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
