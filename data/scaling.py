"""Scaling features: fitted on the training part alone, then applied to every part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from xpnet.common import choose
from xpnet.data.features import blocks, check_finite

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaler:
    """A shift and a scale for each feature: transform(x) = (x - shift) / scale.

    `shift` and `scale` are (features,) float64. All arithmetic is float64; the result
    is float64 for float64 input, and float32 for any other. Arrays are walked in
    blocks, so a memory-mapped x is never copied whole.

    Raises ValueError for a scale that is not positive, and for values not finite.
    """

    shift: Float64
    scale: Float64
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        shapes = np.shape(self.shift), np.shape(self.scale)
        fits = shapes[0] == shapes[1] and len(shapes[0]) == 1
        finite = np.isfinite(self.shift).all() and np.isfinite(self.scale).all()
        if not (fits and finite and (np.asarray(self.scale) > 0).all()):
            raise ValueError(
                "scaler: expected a finite shift and a positive scale for each "
                f"feature, got shapes {shapes[0]} and {shapes[1]} or values out of "
                "range; hint: fit it again"
            )

    def transform(self, x: NDArray[Any]) -> NDArray[Any]:
        """(x - shift) / scale for x (samples, features), as a new array.

        Raises ValueError for another width, and for NaN or infinities.
        """
        out = self._empty(x)
        for where, block in blocks(x):
            check_finite(block, where.start, "x")
            out[where] = (block - self.shift) / self.scale
        return out

    def inverse(self, x: NDArray[Any]) -> NDArray[Any]:
        """x × scale + shift, which undoes `transform`; raises as it does."""
        out = self._empty(x)
        for where, block in blocks(x):
            check_finite(block, where.start, "x")
            out[where] = block * self.scale + self.shift
        return out

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

    def _empty(self, x: NDArray[Any]) -> NDArray[Any]:
        """The array for the result, once `x` is known to fit."""
        _check_matrix(x)
        if x.shape[1] != len(self.shift):
            raise ValueError(
                f"x: expected {len(self.shift)} features, as the scaler was fitted on, "
                f"got {x.shape[1]}; hint: give the same columns as in training"
            )
        wide = x.dtype.kind == "f" and x.dtype.itemsize > 4
        return np.empty(x.shape, np.float64 if wide else np.float32)


class Standardizer(Scaler):
    """Zero mean and unit variance: z = (x - μ) / σ.

    μ = Σ x / n and σ² = Σ (x - μ)² / n over the n training samples: divided by n, as
    scikit-learn's StandardScaler, where torch.std divides by n - 1. A constant column
    has σ = 0 and is divided by 1 instead.
    """

    kind = "standard"

    @classmethod
    def fit(cls, x: NDArray[Any]) -> Self:
        """Mean and deviation of x (samples, features); raises as `transform`."""
        low, high = _extremes(x)
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
    def fit(cls, x: NDArray[Any]) -> Self:
        """Minimum and range of x (samples, features); raises as `transform`."""
        low, high = _extremes(x)
        return cls(low, np.where(low == high, 1.0, high - low))


SCALERS: dict[str, type[Standardizer] | type[MinMaxScaler]] = {
    "standard": Standardizer,
    "minmax": MinMaxScaler,
}


def _extremes(x: NDArray[Any]) -> tuple[Float64, Float64]:
    """Each column's least and greatest value, once `x` is known to be sound."""
    _check_matrix(x)
    if x.size == 0:
        raise ValueError(
            f"x: expected at least one sample and one feature, got shape {x.shape}; "
            "hint: fit on the training part"
        )
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for where, block in blocks(x):
        check_finite(block, where.start, "x")
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
    return low, high


def _check_matrix(x: NDArray[Any]) -> None:
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind not in "biuf":
        got = f"{getattr(x, 'dtype', type(x).__name__)} of shape {np.shape(x)}"
        raise ValueError(
            f"x: expected numbers of shape (samples, features), got {got}; hint: "
            "flatten images with x.reshape(len(x), -1)"
        )
