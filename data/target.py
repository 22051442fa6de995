"""The target column: class codes for classification, float32 columns for regression."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnet.common import nearest

Classes = tuple[int, ...] | tuple[str, ...]

TASKS = ("auto", "classification", "regression")


def check_task(task: str) -> None:
    """Raise ValueError, with the nearest valid name, unless `task` is one of TASKS."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; {nearest(task, TASKS)}")


def encode_target(
    values: NDArray[Any], task: str, what: str
) -> tuple[NDArray[Any], Classes | None]:
    """`(y, classes)` of raw target `values`, (samples,) or (samples, outputs).

    Classification gives y (samples,) int64, the codes 0..k-1 of the sorted `classes`;
    regression gives y (samples, outputs) float32 and None. With task "auto", text is
    classification, several columns are regression, and one column of numbers is
    classification if all are whole and few are distinct: two, or at most
    max(20, √samples) and half the samples. Otherwise it is regression.

    Raises ValueError, naming `what`, for values that do not suit the task.
    """
    check_task(task)
    _check_values(values, what)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if task == "auto":
        task = _guess(values, what)
    if task == "regression":
        return _numbers(values, what), None
    return _codes(values, what)


def encode_known(
    values: NDArray[Any], classes: Classes | None, what: str
) -> NDArray[Any]:
    """`values` encoded as an earlier target was: by its `classes`, None for regression.

    Raises ValueError, naming `what`, for a label that is not among `classes`.
    """
    if classes is None:
        return encode_target(values, "regression", what)[0]
    _check_values(values, what)
    labels = np.array(classes)
    values = values.reshape(-1)
    if (labels.dtype.kind == "U") != (values.dtype.kind == "U"):
        known = np.zeros(len(values), bool)
    else:
        known = np.isin(values, labels)
    if not known.all():
        raise ValueError(
            f"{what}: expected the labels of the training part, got "
            f"{values[~known][0].item()!r}; hint: valid labels are "
            f"{', '.join(map(str, classes))}"
        )
    return np.searchsorted(labels, values).astype(np.int64)


def _check_values(values: NDArray[Any], what: str) -> None:
    if values.dtype.kind not in "biufU" or values.ndim not in (1, 2):
        raise ValueError(
            f"{what}: expected numbers or text of shape (samples,) or (samples, "
            f"outputs), got {values.dtype} of shape {values.shape}; hint: keep one "
            f"row a sample"
        )
    if values.size == 0:
        raise ValueError(
            f"{what}: expected at least one sample, got shape {values.shape}; "
            "hint: check how the array was made"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(
            f"{what}: expected finite numbers, got {values[row]} at row {row} "
            "(counted from 0); hint: drop samples without a target"
        )


def _guess(values: NDArray[Any], what: str) -> str:
    if values.ndim == 2:
        return "regression"
    samples, distinct = len(values), len(np.unique(values))
    limit = max(20, math.isqrt(samples))
    if values.dtype.kind == "U":
        if distinct > limit:
            raise ValueError(
                f"{what}: expected numbers or at most {limit} different labels, got "
                f"{distinct} different texts in {samples} samples; hint: choose "
                "another target, or ask for task classification"
            )
        return "classification"
    # Seven whole numbers that hardly repeat are measurements, not seven classes.
    limit = max(2, min(limit, samples // 2))
    is_class = _whole(values) and 2 <= distinct <= limit
    return "classification" if is_class else "regression"


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool((values == np.floor(values)).all())


def _numbers(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    if values.dtype.kind == "U":
        raise ValueError(
            f"{what}: expected numbers for regression, got text "
            f"{values.flat[0].item()!r}; hint: ask for task classification"
        )
    limit = float(np.finfo(np.float32).max)
    if (np.abs(values.astype(np.float64)) > limit).any():
        raise ValueError(
            f"{what}: expected numbers up to {limit:.4g}, the range of float32, got a "
            "larger one; hint: measure it in a larger unit"
        )
    y = values.astype(np.float32)
    return y[:, None] if y.ndim == 1 else y


def _codes(
    values: NDArray[Any], what: str
) -> tuple[NDArray[np.int64], tuple[int, ...] | tuple[str, ...]]:
    if values.ndim == 2:
        raise ValueError(
            f"{what}: expected one label a sample, got shape {values.shape}; hint: "
            "turn one-hot rows into labels with argmax(axis=1)"
        )
    if not _whole(values):
        got = values[values != np.floor(values)][0]
        raise ValueError(
            f"{what}: expected whole numbers or text for classification, got {got}; "
            "hint: ask for task regression"
        )
    labels, codes = np.unique(values, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(
            f"{what}: expected at least two classes, got only {labels[0].item()!r}; "
            "hint: choose another target"
        )
    codes = codes.astype(np.int64)
    if values.dtype.kind == "U":
        return codes, tuple(map(str, labels))
    return codes, tuple(map(int, labels))
