"""A verdict a line: what was checked, how it came out, and the figures it gave."""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, Any]
Host = np.ndarray[Any, Any]
OK, DIFFERS, FAILED, MISSING = "ok", "differs", "failed", "not installed"
SAFETY = 8.0  # both sides round, and functions are a few units off in the last place


@dataclass
class Line:
    """How one check came out.

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


def told(error: Exception) -> str:
    """Its type, its words, and the last place in xpnet's sources that it came by."""
    words = " ".join(str(error).split())[:300]
    caught, *inner = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in inner if "xpnet" in Path(frame.filename).parts]
    last = (own or inner or [caught])[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__}: {words} ({place})"


@dataclass(frozen=True)
class Check:
    """One thing to find out; `run` gives (verdict, note, figures)."""

    name: str
    run: Callable[[], tuple[str, str, Figures]]

    def line(self) -> Line:
        """Find out; what it raises is a verdict too."""
        try:
            return Line(self.name, *self.run())
        except Exception as error:
            return Line(self.name, FAILED, told(error))


@dataclass(frozen=True)
class Bound:
    """How far a tensor computed in `dtype` may be from NumPy's.

        max |a - b|  ≤  8 ε max(√n s, κ)

    ε is the machine epsilon of `dtype`, s the tensor's largest entry, n the number of
    terms in the sums on the way to it (see `diagnosis/lockstep.py` for 8 √n ε s). κ is
    how strongly the tensor multiplies rounding, as NumPy itself shows it: the distance
    of its float32 result from its float64 result, in units of float32's ε. A sum whose
    terms cancel, such as the gradient of a bias before BatchNorm, is all rounding.
    """

    dtype: str
    terms: int

    def of(self, narrow: Host, wide: Host) -> float:
        """The bound, from NumPy's float32 and float64 results."""
        if wide.dtype.kind != "f":
            return 0.0
        size = float(np.abs(wide).max(initial=0.0))
        kappa = distance(narrow, wide) / float(np.finfo(np.float32).eps)
        epsilon = float(np.finfo(self.dtype).eps)
        return SAFETY * epsilon * max(math.sqrt(self.terms) * size, kappa)


def distance(a: Host, b: Host) -> float:
    """max |a - b|; infinite where one is not finite and they are not equal."""
    if a.shape != b.shape:
        return math.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    apart = np.where(np.isnan(apart), math.inf, apart)
    return float(apart.max(initial=0.0))


def identical(a: Host, b: Host) -> bool:
    """Whether they are equal to the bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
