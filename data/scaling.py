"""Scaling features: fitted on the training part alone, then applied to every part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from xpnet.common import choose, shown
from xpnet.common.arrays import as_numbers
from xpnet.data.features import blocks, check_finite

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaler:
    """A shift and a scale for each feature: transform(x) = (x - shift) / scale.

    `shift` and `scale` are (features,) float64. x is (samples, features), or (samples,)
    for a single feature; the result has its shape. All arithmetic is float64; the
    result is float64 for float64 input, and float32 for any other. Arrays are walked in
    blocks, so a memory-mapped x is never copied whole.

    Raises ValueError for a scale that is not positive, and for values not finite,
    TypeError for values that are no numbers.
    """

    shift: Float64
    scale: Float64
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):
            values = np.array(as_numbers(getattr(self, name), name), np.float64)
            object.__setattr__(self, name, values)
        shapes = self.shift.shape, self.scale.shape
        fits = shapes[0] == shapes[1] and len(shapes[0]) == 1
        finite = np.isfinite(self.shift).all() and np.isfinite(self.scale).all()
        if not (fits and finite and (self.scale > 0).all()):
            raise ValueError(
                "scaler: expected a finite shift and a positive scale for each "
                f"feature, got shapes {shapes[0]} and {shapes[1]} or values out of "
                "range; hint: fit it again"
            )

    def transform(self, x: Any) -> NDArray[Any]:
        """(x - shift) / scale, as a new array.

        Raises ValueError for another width, for NaN or infinities and for masked
        values, TypeError for text and missing entries.
        """
        return self._mapped(x, lambda block: (block - self.shift) / self.scale)

    def inverse(self, x: Any) -> NDArray[Any]:
        """x × scale + shift, which undoes `transform`; raises as it does."""
        return self._mapped(x, lambda block: block * self.scale + self.shift)

    def to_dict(self) -> dict[str, Any]:
        """The scaler as plain values for JSON; `Scaler.from_dict` reads them back."""
        return {
            "kind": self.kind,
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Scaler":
        """The scaler that `to_dict` gave, of its own class, exact to the last bit.

        Raises ValueError for missing or malformed values and an unknown kind.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"scaler: expected what to_dict gave, got {shown(values)}")
        if set(values) != {"kind", "shift", "scale"}:
            raise ValueError(
                f"scaler: expected kind, shift and scale, got "
                f"{', '.join(map(str, values)) or 'nothing'}; hint: use what to_dict "
                "gave"
            )
        scaler = choose(values["kind"], SCALERS, "scaler")
        try:
            shift = np.array(values["shift"], np.float64)
            scale = np.array(values["scale"], np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "scaler: expected shift and scale as lists of numbers, got something "
                "else; hint: use what to_dict gave"
            ) from error
        return scaler(shift, scale)

    def _mapped(self, x: Any, change: Callable[[Float64], Float64]) -> NDArray[Any]:
        """`change` of each block of rows, once `x` is known to fit."""
        x, shape = _matrix(x)
        if x.shape[1] != len(self.shift):
            raise ValueError(
                f"x: expected {len(self.shift)} features, as the scaler was fitted on, "
                f"got shape {shape}; hint: give the same columns as in training"
            )
        wide = x.dtype.kind == "f" and x.dtype.itemsize > 4
        out = np.empty(x.shape, np.float64 if wide else np.float32)
        for where, block in blocks(x):
            check_finite(block, where.start, "x")
            out[where] = change(block)
        return out.reshape(shape)


class Standardizer(Scaler):
    """Zero mean and unit variance: z = (x - μ) / σ.

    μ = Σ x / n and σ² = Σ (x - μ)² / n over the n training samples: divided by n, as
    scikit-learn's StandardScaler, where torch.std divides by n - 1. A constant column
    has σ = 0 and is divided by 1 instead.
    """

    kind = "standard"

    @classmethod
    def fit(cls, x: Any) -> Self:
        """Mean and deviation of each feature; raises as `transform`."""
        x, low, high = _extremes(x)
        mean = sum((block.sum(axis=0) for _, block in blocks(x)), np.zeros_like(low))
        mean /= len(x)
        # Rounding moves the mean of equal values off them, and their deviation off 0.
        mean = np.where(low == high, low, mean)
        squares = np.zeros_like(mean)
        for _, block in blocks(x):
            squares += ((block - mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / len(x))
        return cls(mean, np.where(std == 0, 1.0, std))


class MinMaxScaler(Scaler):
    """The training part's range to [0, 1]: (x - min) / (max - min).

    Values outside that range stay outside [0, 1]. A constant column is divided by 1.
    """

    kind = "minmax"

    @classmethod
    def fit(cls, x: Any) -> Self:
        """Minimum and range of each feature; raises as `transform`."""
        _, low, high = _extremes(x)
        return cls(low, np.where(low == high, 1.0, high - low))


SCALERS: dict[str, type[Standardizer] | type[MinMaxScaler]] = {
    "standard": Standardizer,
    "minmax": MinMaxScaler,
}


def _extremes(x: Any) -> tuple[NDArray[Any], Float64, Float64]:
    """x (samples, features), each column's least and its greatest value."""
    x, shape = _matrix(x)
    if x.size == 0:
        raise ValueError(
            f"x: expected at least one sample and one feature, got shape {shape}; "
            "hint: fit on the training part"
        )
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for where, block in blocks(x):
        check_finite(block, where.start, "x")
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
    return x, low, high


def _matrix(x: Any) -> tuple[NDArray[Any], tuple[int, ...]]:
    """x as (samples, features), and the shape that it came in."""
    x = as_numbers(x, "x")
    if x.ndim not in (1, 2):
        raise ValueError(
            f"x: expected shape (samples, features) or (samples,), got {x.shape}; "
            "hint: flatten images with x.reshape(len(x), -1)"
        )
    return (x if x.ndim == 2 else x.reshape(-1, 1)), x.shape
