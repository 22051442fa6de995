"""The boundary: what comes in is checked once, and one clear error says what is wrong.

Every message names the argument, what was expected, what came, and a way out. Nothing
here writes into what it is given. One function per kind of argument: the same value has
the same answer in `fit`, `step`, `evaluate`, a stack, an ensemble, a search.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xpnet.backend import Array, Backend, Shape
from xpnet.backend.arrays import all_finite
from xpnet.common import check_number, check_whole, shown
from xpnet.common.arrays import NDArray, as_numbers
from xpnet.common.console import warn
from xpnet.layers import Loss, Sequential
from xpnet.optim import WeightAverage
from xpnet.training.weights import scaled

# Elements looked at in one go, so that a memory map is never read whole.
CHUNK = 1 << 22
SMALL = 1 << 13  # elements whose product BLAS does not divide among threads


class Default(int):
    """A default that may shrink: told from the same number given by a caller."""


DEFAULT_BATCH = Default(32)


def as_array(values: Any, name: str, backend: Backend) -> Array:
    """`values` as a real, numeric array on the host or on the backend's device.

    Raises:
        TypeError: text, missing entries, sparse matrices, complex numbers.
        ValueError: rows of different lengths, masked values, another device's array.
    """
    plain = type(values) is np.ndarray and values.dtype.isnative
    if plain and values.dtype.kind in "fiub":
        return values
    device = None if isinstance(values, np.ndarray) else _device_of(values)
    if device is None:
        return as_numbers(values, name)
    if not backend.owns(values):
        raise ValueError(
            f"{name}: the array is on {device}, the model on {backend.device}; "
            f"copy it over (cupy.asnumpy({name})) or use device={device!r}"
        )
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got {values.dtype}")
    return values


def _device_of(values: Any) -> str | None:
    """ "cuda:1" for an array that lives on a GPU, None otherwise."""
    if not hasattr(values, "__cuda_array_interface__"):
        return None
    return f"cuda:{getattr(getattr(values, 'device', None), 'id', 0)}"


def check_average(average: Any) -> WeightAverage | None:
    """A `WeightAverage` or None; raises TypeError for anything else."""
    if average is None or isinstance(average, WeightAverage):
        return average
    raise TypeError(
        f"average: expected a WeightAverage or None, got {average!r}; such as "
        "WeightAverage(decay=0.999)"
    )


def check_x(x: Any, sample: Shape | None, backend: Backend) -> Array:
    """x as an array of shape (samples, *sample).

    Raises:
        ValueError: no samples, another width than the model's.
        TypeError: see `as_array`.
    """
    x = as_array(x, "x", backend)
    if x.ndim < 2:
        raise ValueError(
            f"x: expected shape (samples, features), got {x.shape}; a single column is "
            "x.reshape(-1, 1), a single sample x.reshape(1, -1)"
        )
    if x.shape[0] == 0:
        raise ValueError(f"x: expected at least one sample, got shape {x.shape}")
    if sample is not None and x.shape[1:] != sample:
        wanted = ", ".join(map(str, ("samples", *sample)))
        raise ValueError(
            f"x: expected shape ({wanted}), which is what the model is built for; got "
            f"{x.shape}"
        )
    return x


def check_finite(values: Array, name: str, backend: Backend) -> None:
    """Raises ValueError with the place of the first NaN or infinity."""
    if values.dtype.kind != "f":
        return
    if not isinstance(values, np.ndarray):
        with backend.active():
            if bool(backend.xp.isfinite(values).all()):
                return
        values = backend.to_numpy(values)
    if values.size <= SMALL and all_finite(values):
        return
    rows = max(1, CHUNK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        part = np.asarray(values[start : start + rows])
        # No product: BLAS' own threads would stay awake beside the training's.
        if not np.isfinite(part).all():
            at = [int(i) for i in np.argwhere(~np.isfinite(part))[0]]
            at[0] += start
            raise ValueError(
                f"{name}: expected finite numbers, got {values[tuple(at)]} at "
                f"{name}{at}; drop or fill such samples first"
            )


def check_validation(validation: Any) -> None:
    """Raises TypeError unless `validation` is a tuple of two or three parts."""
    if not isinstance(validation, tuple) or len(validation) not in (2, 3):
        raise TypeError(
            "validation: expected (x, y) or (x, y, sample_weight), got "
            f"{type(validation).__name__}; xpnet.split makes the parts"
        )


@contextmanager
def naming(where: str) -> Iterator[None]:
    """What is refused within the block is said to be of `where`."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{where}: {error}") from error


def check_fits(values: Array, name: str, dtype: np.dtype[Any]) -> None:
    """Raises ValueError where finite `values` are too large for `dtype`."""
    if values.dtype.kind != "f" or values.dtype.itemsize <= dtype.itemsize:
        return
    limit = float(np.finfo(dtype).max)
    rows = max(1, CHUNK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        low, high = float(part.min()), float(part.max())
        if max(-low, high) > limit:
            worst = low if -low > high else high
            raise ValueError(
                f"{name}: expected numbers within the range of {dtype}, got {worst:g}; "
                "scale them, or use dtype='float64'"
            )


def check_y(y: Any, samples: int, loss: Loss, width: int, backend: Backend) -> Array:
    """y as labels (samples,) or as targets (samples, width) that fit the loss.

    Raises:
        TypeError: text, or labels that are not whole numbers.
        ValueError: another length or width, labels or shares out of range.
    """
    y = as_array(y, "y", backend)
    if y.ndim == 0 or y.shape[0] != samples:
        got = "a single number" if y.ndim == 0 else f"{y.shape[0]}"
        raise ValueError(f"y: expected one target a sample, {samples}; got {got}")
    if loss.targets == "classes" and is_labels(y, loss):
        return _labels(y.reshape(samples), width, backend)
    y = y.reshape(samples, 1) if y.ndim == 1 else y
    if y.shape != (samples, width):
        raise ValueError(
            f"y: expected shape ({samples}, {width}), one column an output of the "
            f"model; got {y.shape}; the last layer needs {y.shape[-1]} units for this y"
        )
    if loss.targets != "values":
        _shares(y, loss, backend)
    return y


def is_labels(y: Array, loss: Loss) -> bool:
    """Whether y holds one label a sample rather than a row of targets."""
    return loss.targets == "classes" and (y.ndim == 1 or y.shape[1:] == (1,))


def _labels(y: Array, width: int, backend: Backend) -> Array:
    if width < 2:
        raise ValueError(
            f"the last layer: expected an output a class, at least 2, got {width}; for "
            "two classes use 2 units, or 1 unit with loss='binary_cross_entropy'"
        )
    if y.dtype.kind == "f":
        raise TypeError(
            f"y: expected whole-number labels 0..{width - 1}, got {y.dtype}; pass "
            "y.astype(int), or a regression loss for numbers"
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= width:
        raise ValueError(
            f"y: expected labels 0..{width - 1} for {width} outputs, got "
            f"{low if low < 0 else high}; number the labels from 0, or give the last "
            f"layer {high + 1} units"
        )
    return y


def _shares(y: Array, loss: Loss, backend: Backend) -> None:
    """Targets of a cross-entropy are probabilities."""
    y = backend.to_numpy(y) if not isinstance(y, np.ndarray) else y
    low, high = float(y.min()), float(y.max())
    if low < 0.0 or high > 1.0:
        worst = low if low < 0.0 else high
        raise ValueError(f"y: expected targets from 0 to 1, got {worst:g}")
    sums = y.sum(axis=-1, dtype=np.float64)
    if loss.targets == "classes" and abs(sums - 1.0).max() > 1e-3:
        row = int(abs(sums - 1.0).argmax())
        raise ValueError(
            f"y: expected rows that sum to 1 (one-hot, or shares of each class), got "
            f"{sums[row]:g} in row {row}"
        )


def check_weights(weights: Any, samples: int, backend: Backend) -> Array | None:
    """Sample weights (samples,), each at least 0 and not all 0, `scaled`; None stays.

    Raises:
        TypeError: text, missing entries, complex numbers.
        ValueError: another shape, negative or not finite, or all zero.
    """
    if weights is None:
        return None
    weights = as_array(weights, "sample_weight", backend)
    column = weights.shape == (samples, 1)
    if weights.shape != (samples,):
        raise ValueError(
            f"sample_weight: expected shape ({samples},), one a sample; got "
            f"{weights.shape}" + "; pass sample_weight.reshape(-1)" * column
        )
    check_finite(weights, "sample_weight", backend)
    low, high = weights.min(), weights.max()
    if bool(low < 0) or not bool(high > 0):
        raise ValueError(
            "sample_weight: expected weights >= 0 with at least one above 0, got "
            f"{float(low):g}..{float(high):g}"
        )
    return scaled(weights)


def check_weighed(weights: Array | None, rows: Any, which: str) -> None:
    """Raises ValueError where the samples `rows` have no weight: no mean is defined."""
    if weights is not None and not weights[rows].any():
        raise ValueError(
            f"sample_weight: expected at least one weight above 0 in {which}, got 0 "
            f"for all of its {len(rows)} samples"
        )


def check_batch_size(size: Any, most: int, samples: str = "samples") -> int:
    """Samples an update: `most` for None, and for a number above it, with a warning.

    Raises:
        ValueError: no whole number of at least 1.
    """
    if size is None:
        return most
    found = check_whole("", "batch_size", size, 1)
    if found > most and not isinstance(size, Default):
        warn(
            f"batch_size: {shown(size)} is more than the {most} {samples}; taking all "
            "of them",
            stacklevel=4,
        )
    return min(found, most)


def balanced(labels: Any, width: int, weights: Any = None) -> NDArray:
    """One weight a class: Σ w / (classes · Σ w of the class), 1 for absent classes.

    King and Zeng, "Logistic regression in rare events data" (2001). A class whose
    samples all weigh 0 is absent.

    Args:
        labels: (samples,), whole numbers in 0..width - 1.
        width: number of classes.
        weights: (samples,), each at least 0; None counts samples.
    """
    table, counts = np.ones(width), np.bincount(labels, weights, minlength=width)
    present = counts > 0
    table[present] = counts.sum() / (present.sum() * counts[present])
    return table


def class_weights(
    weights: Any, y: Array, width: int, backend: Backend, sample_weight: Array = None
) -> Array:
    """One weight a sample from a weight a class.

    Args:
        weights: {label: weight}, where a label left out has weight 1, or "balanced",
            see `balanced`.
        y: labels (samples,).
        width: number of classes.
        backend: where y and the sample weights may be.
        sample_weight: (samples,), what the frequencies of "balanced" count.

    Raises:
        ValueError: unknown labels, negative weights, a word other than 'balanced'.
    """
    labels = backend.to_numpy(y) if not isinstance(y, np.ndarray) else y
    table = np.ones(width)
    if isinstance(weights, str):
        if weights != "balanced":
            raise ValueError(
                f"class_weight: expected a dict or 'balanced', got {weights!r}"
            )
        w = None if sample_weight is None else backend.to_numpy(sample_weight)
        return balanced(labels.astype(np.int64), width, w)[labels.astype(np.int64)]
    if not isinstance(weights, dict):
        raise TypeError(
            "class_weight: expected {label: weight} or 'balanced', got "
            f"{type(weights).__name__}"
        )
    for label, weight in weights.items():
        whole = isinstance(label, int | np.integer) and 0 <= label < width
        if not whole:
            raise ValueError(
                f"class_weight: expected labels 0..{width - 1}, got {label!r}"
            )
        table[int(label)] = check_number(
            "class_weight", weight, "weights >= 0", lambda w: w >= 0.0
        )
    return table[labels.astype(np.int64)]


def check_batch(model: Sequential, samples: int) -> None:
    """Raises ValueError where a layer cannot train on so few samples."""
    for i, layer in enumerate(model.layers):
        if samples < layer.min_batch:
            raise ValueError(
                f"layer {i} ({type(layer).__name__}): expected at least "
                f"{layer.min_batch} samples a batch, got {samples}; choose a "
                "batch_size whose last batch is not smaller than that"
            )
