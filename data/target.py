"""The target: class codes, yes/no rows or numbers, and what it was taken for.

Text is classes, fractions are numbers, rows with a single 1 are classes, other rows of
0 and 1 are yes/no labels. Whole numbers may be names or counts: few of them that are
0, 1, ... or 1, 2, ... and all about as frequent are classes, many with gaps are
numbers. In between the data do not decide, and the task must be named.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xpnet.common import nearest, printable, shortened

Classes = tuple[int, ...] | tuple[str, ...]
Task = Literal["classification", "regression", "multilabel"]

TASKS = ("auto", "classification", "regression", "multilabel")
FEW = 10  # so many whole numbers are classes, where they look like it
MANY = 20  # more than this, with gaps, are measurements
EVEN = 4  # the commonest class may have this many times the samples of the rarest


class Target(NamedTuple):
    """An encoded target.

    Attributes:
        y: (samples,) int64 class codes, or (samples, outputs) float32.
        classes: what the codes stand for; None for numbers and yes/no labels.
        task: what y asks for.
        taken: what it was taken for, in a sentence, and how to say otherwise.
    """

    y: NDArray[Any]
    classes: Classes | None
    task: Task
    taken: str


def check_task(task: str) -> None:
    """Raise ValueError, with the nearest valid name, unless `task` is one of TASKS."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; {nearest(task, TASKS)}")


def encode_target(values: NDArray[Any], task: str, what: str) -> Target:
    """Raw target `values`, (samples,) or (samples, outputs), for a task.

    Args:
        values: numbers or text.
        task: "classification" gives y (samples,) int64, codes 0..k-1 of the sorted
            classes, or of the columns of one-hot rows; "regression" gives y (samples,
            outputs) float32; "multilabel" the same of 0 and 1, a yes/no label a column;
            "auto" takes the one that the values tell.
        what: names them in errors.

    Raises:
        ValueError: values that do not suit the task, that do not tell it, or that are
            all the same.
    """
    check_task(task)
    _check_values(values, what)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    asked = task != "auto"
    kind: Any = task if asked else _guess(values, what)
    if kind == "classification":
        codes, classes = _codes(values, what)
        if (codes == codes[0]).all():
            raise ValueError(
                f"{what}: expected at least two classes, got only "
                f"{classes[codes[0]]!r}; hint: choose another target"
            )
        taken = f"{len(classes)} classes, {_names(classes)}"
        found = Target(codes, classes, kind, taken)
    elif kind == "multilabel":
        y = _yes_no(values, what)
        found = Target(y, None, kind, f"{y.shape[1]} yes/no labels a sample")
    else:
        y = _numbers(values, what)
        _check_varied(y, what)
        outputs = f", {y.shape[1]} outputs" if y.shape[1] > 1 else ""
        taken = f"numbers from {y.min():g} to {y.max():g}{outputs} (regression)"
        found = Target(y, None, kind, taken)
    return found if asked else found._replace(taken=found.taken + _otherwise(values))


def encode_known(values: NDArray[Any], known: Target, what: str) -> NDArray[Any]:
    """`values` encoded as the earlier target `known` was: by its task and classes.

    Raises ValueError, naming `what`, for a label that is not among the classes.
    """
    _check_values(values, what)
    if known.task == "multilabel":
        return _yes_no(values, what)
    if known.classes is None:
        return _numbers(values, what)
    if values.ndim == 2 and values.shape[1] > 1:
        values = _codes(values, what)[0]
    labels = np.array(known.classes)
    values = values.reshape(-1)
    if (labels.dtype.kind == "U") != (values.dtype.kind == "U"):
        right = np.zeros(len(values), bool)
    else:
        right = np.isin(values, labels)
    if not right.all():
        raise ValueError(
            f"{what}: expected the labels of the training part, got "
            f"{values[~right][0].item()!r}; hint: valid labels are "
            f"{_names(known.classes)}"
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


def _guess(values: NDArray[Any], what: str) -> Task:
    """The task that the values tell; ValueError where they tell none."""
    if values.ndim == 2:
        if values.dtype.kind == "U" or not _is_binary(values):
            return "regression"
        return "classification" if _is_one_hot(values) else "multilabel"
    if values.dtype.kind == "b":
        return "classification"
    samples = len(values)
    if values.dtype.kind == "U":
        distinct = len(np.unique(values))
        limit = max(MANY, int(samples**0.5))
        if distinct > limit:
            raise ValueError(
                f"{what}: expected numbers or at most {limit} different labels, got "
                f"{distinct} different texts in {samples} samples; hint: choose "
                "another target, or ask for task classification"
            )
        return "classification"
    return _guess_numbers(values, what) if _whole(values) else "regression"


def _guess_numbers(values: NDArray[Any], what: str) -> Task:
    """Whether whole numbers are the names of classes or a quantity."""
    samples = len(values)
    found, counts = np.unique(values, return_counts=True)
    distinct = len(found)
    if distinct == 1 or distinct > max(2, samples // 2):
        return "regression"  # what hardly repeats is measured
    if distinct == 2:
        return "classification"
    running = found[0] in (0, 1) and found[-1] - found[0] == distinct - 1
    even = counts.min() * EVEN >= counts.max()
    if running and even and distinct <= FEW:
        return "classification"
    if not running and distinct > MANY:
        return "regression"
    raise ValueError(
        f"{what}: expected values that are clearly classes or clearly numbers, got "
        f"{distinct} different whole numbers from {found[0]:g} to {found[-1]:g} in "
        f"{samples} samples; hint: name the task, classification or regression "
        "(--task on the command line, task= in Python)"
    )


def _otherwise(values: NDArray[Any]) -> str:
    """How to say that the values are something else; "" where they can be nothing."""
    if values.ndim == 1 and values.dtype.kind in "Ub":
        return ""
    if values.ndim == 1 and not _whole(values):
        return ""
    if values.ndim == 2 and not _is_binary(values):
        return ""
    return "; --task says otherwise"


def _is_binary(values: NDArray[Any]) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _is_one_hot(values: NDArray[Any]) -> bool:
    """Whether each row of zeros and ones has a single 1."""
    return bool((np.count_nonzero(values, axis=1) == 1).all())


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool((values == np.floor(values)).all())


def _names(classes: Classes) -> str:
    """The classes in a line, the first and the last of many."""
    shown = [shortened(printable(str(name)), 30) for name in classes]
    if len(shown) > MANY:
        shown = [*shown[:3], "...", shown[-1]]
    return ", ".join(shown)


def _check_varied(y: NDArray[np.float32], what: str) -> None:
    if (y == y[:1]).all():
        raise ValueError(
            f"{what}: expected values that differ, got {y[0, 0]:g} for all {len(y)} "
            "samples: there is nothing to learn, and R² is undefined; hint: choose "
            "another target"
        )


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


def _yes_no(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Rows of 0 and 1."""
    if values.dtype.kind == "U" or not _is_binary(values):
        text = values.dtype.kind == "U"
        got = values.flat[0] if text else values[(values != 0) & (values != 1)][0]
        raise ValueError(
            f"{what}: expected 0 or 1 for each label (multilabel), got "
            f"{got.item()!r}; hint: ask for task classification or regression"
        )
    y = values.astype(np.float32)
    return y[:, None] if y.ndim == 1 else y


def _codes(
    values: NDArray[Any], what: str
) -> tuple[NDArray[np.int64], tuple[int, ...] | tuple[str, ...]]:
    if values.ndim == 2:
        return _codes_of_rows(values, what)
    if not _whole(values):
        got = values[values != np.floor(values)][0]
        raise ValueError(
            f"{what}: expected whole numbers or text for classification, got {got}; "
            "hint: ask for task regression"
        )
    labels, codes = np.unique(values, return_inverse=True)
    codes = codes.astype(np.int64)
    if values.dtype.kind == "U":
        return codes, tuple(map(str, labels))
    return codes, tuple(map(int, labels))


def _codes_of_rows(
    values: NDArray[Any], what: str
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """One-hot rows as the numbers of their columns."""
    right = values.dtype.kind != "U" and _is_binary(values) and _is_one_hot(values)
    if not right:
        raise ValueError(
            f"{what}: expected one label a sample, or rows with a single 1, got shape "
            f"{values.shape}; hint: ask for task multilabel (rows of 0 and 1) or "
            "regression"
        )
    return values.argmax(axis=1).astype(np.int64), tuple(range(values.shape[1]))
