"""Anything that holds numbers as a plain array of the host, or one clear error.

Lists, data frames, nullable and boolean columns, `np.matrix`, tensors that know
`__array__`: the same values give the same array, whatever holds them. What NumPy would
take for something else (values beneath a mask, text, missing entries) is refused by the
argument's name. Nothing here writes into what it is given.
"""

import sys
from typing import Any

import numpy as np

from xpnet.common.checks import shortened

NDArray = np.ndarray[Any, Any]  # on the host, of any shape and dtype


def as_host(values: Any, name: str) -> NDArray:
    """`values` as a plain array of the host, of whatever dtype NumPy gives it.

    An `np.memmap` stays one; another subclass of `np.ndarray` is seen as its base.

    Raises:
        TypeError: a sparse matrix, or something that is no array.
        ValueError: masked values, rows of different lengths, an array of a device.
    """
    if type(values) is np.ndarray or type(values) is np.memmap:
        return values
    if _is_masked(values):
        return _unmasked(values, name)
    if isinstance(values, np.ndarray):
        return values.view(np.ndarray)
    if hasattr(values, "__cuda_array_interface__"):
        raise ValueError(
            f"{name}: expected an array of the host, got one on a GPU; copy it over "
            f"(cupy.asnumpy({name}))"
        )
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{name}: expected a dense array, got a sparse {type(values).__name__}; "
            f"pass {name}.toarray()"
        )
    if isinstance(values, list | tuple):
        for row in values:
            if _is_masked(row):
                _unmasked(row, name)
    try:
        return np.asarray(values)
    except Exception as error:  # whatever `__array__` of another library raises
        if isinstance(values, list | tuple) and isinstance(error, ValueError):
            raise ValueError(
                f"{name}: expected rows of equal length, got a ragged list; pad or "
                "drop what is too short"
            ) from None
        raise TypeError(
            f"{name}: expected an array, got a {type(values).__name__} that does not "
            f"become one ({error})"
        ) from None


def as_numbers(values: Any, name: str) -> NDArray:
    """`values` as a plain array of real numbers in the machine's byte order.

    Whole numbers stay whole and booleans booleans. Columns of objects (nullable ones,
    frames of several kinds) are converted where all their entries are real numbers.

    Raises:
        TypeError: text, missing entries, complex numbers, dates; else as `as_host`.
        ValueError: as `as_host`.
    """
    array = as_host(values, name)
    if array.dtype.kind == "O":
        array = _from_objects(array, values, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name}: expected real numbers, got {_kind(array)}; {_hint(name)}"
        )
    if not array.dtype.isnative and not isinstance(array, np.memmap):
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def as_labels(values: Any, name: str, samples: int, numbers: bool = False) -> NDArray:
    """Labels (samples,): whole numbers, booleans, text, or any `numbers`.

    Raises:
        TypeError: missing entries; else as `as_host`.
        ValueError: another shape, other numbers; else as `as_host`.
    """
    array = as_host(values, name)
    if array.shape not in ((samples,), (samples, 1)):
        raise ValueError(
            f"{name}: expected one label a sample, ({samples},), got {array.dtype} of "
            f"shape {array.shape}; hint: give it a row a sample"
        )
    array = array.reshape(samples)
    if array.dtype.kind == "O":
        text = all(isinstance(label, str) for label in array)
        array = array.astype(str) if text else _from_objects(array, values, name)
    if array.dtype.kind not in ("biufUT" if numbers else "biuUT"):
        raise ValueError(
            f"{name}: expected whole numbers or text as labels, got {array.dtype}; "
            f"hint: do not stratify a regression"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got {array}")
    return array


def refuse_masked(values: Any, name: str) -> None:
    """Raises ValueError where `values` is an array with masked entries."""
    if _is_masked(values):
        _unmasked(values, name)


def _is_masked(values: Any) -> bool:
    """Whether it is of NumPy's masked class, whose module is imported by its users."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(values, masked.MaskedArray)


def _unmasked(values: Any, name: str) -> NDArray:
    """What is beneath a mask that hides nothing."""
    hidden = np.argwhere(np.ma.getmaskarray(values))
    if len(hidden):
        place = ", ".join(map(str, hidden[0].tolist()))
        raise ValueError(
            f"{name}: expected an array without masked values, got {len(hidden)}, the "
            f"first at {name}[{place}]; drop such samples, or fill them "
            f"({name}.filled(value))"
        )
    return np.asarray(np.ma.getdata(values))


def _kind(array: NDArray) -> str:
    """What an array holds, in a word."""
    if array.dtype.kind in "UST":
        return "text"
    return "fields" if array.dtype.kind == "V" else str(array.dtype)


def _from_objects(array: NDArray, values: Any, name: str) -> NDArray:
    """The numbers of an array of objects, column by column."""
    if array.ndim == 0:
        got = _word(array.item())
        raise TypeError(f"{name}: expected real numbers, got {got}; {_hint(name)}")
    if array.size == 0:
        return array.astype(np.float64)
    names: list[Any] = list(range(array.size // len(array)))
    if array.ndim == 2 and hasattr(values, "columns"):
        names = list(values.columns)
    rows = array.reshape(len(array), -1)
    places = [f" in column {n!r}" if array.ndim > 1 else "" for n in names]
    columns = [
        _column(column, name, place)
        for column, place in zip(rows.T, places, strict=True)
    ]
    return np.stack(columns, axis=1).reshape(array.shape)


def _column(column: NDArray, name: str, where: str) -> NDArray:
    """A column of objects that are all real numbers."""
    kinds = set(map(type, column))
    for kind in kinds:
        if not _is_real(kind):
            row = next(i for i, value in enumerate(column) if type(value) is kind)
            raise TypeError(
                f"{name}: expected real numbers, got {_word(column[row])}{where}, row "
                f"{row}; {_hint(name)}"
            )
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return column.astype(np.bool_)
    whole = all(issubclass(kind, int | np.integer | np.bool_) for kind in kinds)
    for dtype in ("int64", "uint64", "float64")[0 if whole else 2 :]:
        try:
            return column.astype(dtype)
        except OverflowError:
            continue
    return np.array([_float(value) for value in column])


def _is_real(kind: type) -> bool:
    """Whether objects of this class are real numbers: Decimal and Fraction are."""
    if issubclass(kind, bool | int | float | np.bool_ | np.integer | np.floating):
        return True
    refused = issubclass(kind, str | bytes | np.generic | np.ndarray)
    return not refused and hasattr(kind, "__float__") and hasattr(kind, "__trunc__")


def _hint(name: str) -> str:
    """What to do about something that is no number."""
    if name == "y":
        return "number the labels with np.unique(y, return_inverse=True)"
    return "encode text as numbers, fill what is missing, or drop the column"


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _word(value: Any) -> str:
    """An entry that is no number, for a message."""
    if isinstance(value, str | bytes):
        return f"text {shortened(repr(value), 40)}"
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return f"a missing entry ({value})"
    return f"a value of type {type(value).__name__}"
