"""What is scored: predictions, targets, labels and weights, on the host.

One function per kind of argument, for metrics, the confusion matrix and calibration. A
column (samples, 1) and (samples,) mean the same, and so do lists, frames and integers
of every width.
"""

from typing import Any

import numpy as np

from xpnet.backend import get_backend
from xpnet.common.arrays import NDArray
from xpnet.training import inputs


def numbers(values: Any, name: str) -> NDArray:
    """Real, finite numbers; at least one.

    Raises:
        TypeError: text, objects, complex numbers.
        ValueError: none at all, NaN or infinity.
    """
    cpu = get_backend("cpu")
    array: NDArray = inputs.as_array(values, name, cpu)
    if array.ndim == 0:
        raise ValueError(f"{name}: expected one number a sample, got {values!r}")
    if array.size == 0:
        raise ValueError(
            f"{name}: expected at least one sample, got shape {array.shape}"
        )
    inputs.check_finite(array, name, cpu)
    return array


def predictions(p: Any, name: str = "p") -> NDArray:
    """Outputs (samples, n) as floats; (samples,) is one column.

    Raises:
        ValueError, TypeError: another shape, or see `numbers`.
    """
    return _rows(numbers(p, name), name)


def _rows(array: NDArray, name: str) -> NDArray:
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name}: expected predictions of shape (samples, outputs), got "
            f"{array.shape}"
        )
    return _floats(array.reshape(len(array), -1))


def targets(target: Any, p: NDArray, name: str = "target") -> NDArray:
    """Labels (samples,) for predictions of several columns, or rows (samples, n).

    Raises:
        ValueError, TypeError: targets of another shape; labels that are unfit.
    """
    array, shape = numbers(target, name), p.shape
    if array.ndim == 2 and array.shape == shape:
        return _floats(array)
    column = array.shape in (shape[:1], (len(p), 1))
    if not column:
        raise ValueError(
            f"{name}: expected one label a sample, shape ({len(p)},), or one row, "
            f"shape {shape}, as the predictions; got {array.shape}"
        )
    if shape[1] == 1:
        return _floats(array.reshape(shape))
    return labels(array, shape[1], name)


def labels(values: Any, classes: int, name: str) -> NDArray:
    """Labels 0 .. classes - 1, (samples,), as int64.

    Raises:
        TypeError: numbers that are not of a whole type.
        ValueError: another shape, a label out of range.
    """
    array = numbers(values, name)
    if array.ndim not in (1, 2) or array.size != len(array):
        raise ValueError(
            f"{name}: expected one label a sample, shape (samples,), got {array.shape};"
            " predict_classes gives labels, argmax(axis=1) makes them of rows"
        )
    if array.dtype.kind == "f":
        raise TypeError(
            f"{name}: expected whole-number labels 0..{classes - 1}, got {array.dtype};"
            f" pass {name}.astype(int)"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name}: expected labels 0..{classes - 1}, got "
            f"{low if low < 0 else high}; number the labels from 0"
        )
    return array.reshape(-1).astype(np.int64)


def answers(values: Any, name: str) -> NDArray:
    """Yes and no, (samples,), as int64 1 and 0; of any type, as targets of one output.

    Raises:
        ValueError, TypeError: another shape or other numbers.
    """
    array = numbers(values, name)
    known = (array == 0) | (array == 1)
    if not known.all():
        worst = array.reshape(-1)[np.flatnonzero(~known.reshape(-1))[0]]
        raise ValueError(f"{name}: expected labels 0..1, got {worst}")
    return labels(array.astype(np.int64), 2, name)


def probabilities(p: Any, name: str = "p") -> NDArray:
    """Probabilities (samples, classes) whose rows sum to 1, or one column of "yes".

    Raises:
        TypeError: see `numbers`.
        ValueError: whole numbers, numbers beyond 0 to 1, other sums.
    """
    array = numbers(p, name)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name}: expected probabilities (samples, classes), got whole numbers; "
            "predict gives them, predict_classes gives labels"
        )
    if array.min() < 0.0 or array.max() > 1.0 + 1e-6:
        raise ValueError(
            f"{name}: expected probabilities from 0 to 1, got others; predict gives "
            "them, logits need a softmax"
        )
    array = _rows(array, name)
    if array.shape[1] > 1 and abs(array.sum(axis=1) - 1.0).max() > 1e-3:
        raise ValueError(f"{name}: expected rows that sum to 1, got others")
    return array


def weights(values: Any, samples: int) -> NDArray | None:
    """Sample weights (samples,), each at least 0 and not all 0; None stays None.

    Raises:
        ValueError, TypeError: see `inputs.check_weights`.
    """
    return inputs.check_weights(values, samples, get_backend("cpu"))


def same_length(first: NDArray, other: NDArray, names: tuple[str, str]) -> None:
    """Raises ValueError unless both have as many samples."""
    if len(first) != len(other):
        raise ValueError(
            f"{names[1]}: expected as many samples as {names[0]} has, {len(first)}, "
            f"got {len(other)}"
        )


def _floats(array: NDArray) -> NDArray:
    """float32 and float64 as they are, all others as float64.

    Whole numbers would wrap where they are subtracted.
    """
    single = array.dtype == np.float32
    return array if single else array.astype(np.float64, copy=False)
