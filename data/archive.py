"""NumPy archives (.npz): arrays named `x` and `y`, or as Keras does `x_train`, ..."""

import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from xpnet.common import check_flag, explains_arguments
from xpnet.data.dataset import Dataset
from xpnet.data.features import as_features
from xpnet.data.files import existing_file
from xpnet.data.target import encode_known, encode_target

ROLES = {
    "x": ("x", "x_train"),
    "y": ("y", "y_train"),
    "x_test": ("x_test",),
    "y_test": ("y_test",),
}

# What zipfile, zlib and NumPy raise for bytes that are not what they claim to be.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError),
    *(RuntimeError, MemoryError),
)


@explains_arguments
def load_npz(path: str | Path, task: str = "auto", has_target: bool = True) -> Dataset:
    """The arrays `x` and `y` of a .npz file, or `x_train`, `y_train`, as a Dataset.

    `x_test` and `y_test` become its test part. Capitals do not matter, x keeps its
    dtype and is flattened to (samples, features), and y is encoded for the `task`
    (see `encode_target`). With `has_target=False` only x is read. Nothing is unpickled.

    Raises ValueError for a damaged file, a missing or an ambiguous array, and for
    arrays that do not fit; FileNotFoundError for no file.
    """
    has_target = check_flag("", "has_target", has_target)
    path = existing_file(path)
    arrays = _read(path, has_target)
    x = as_features(arrays["x"], f"{path}: x")
    x_test = arrays.get("x_test")
    if x_test is not None:
        x_test = as_features(x_test, f"{path}: x_test")
    if not has_target:
        return Dataset(x, None, path.stem, x_test=x_test)
    y, classes = encode_target(arrays["y"], task, f"{path}: y")
    y_test = arrays.get("y_test")
    if y_test is not None:
        y_test = encode_known(y_test, classes, f"{path}: y_test")
    return Dataset(x, y, path.stem, None, classes, x_test, y_test)


def _read(path: Path, has_target: bool) -> dict[str, NDArray[Any]]:
    """The arrays of the file by their role: x, y, x_test, y_test."""
    with open(path, "rb") as file:
        try:
            return _unpack(file, path, has_target)
        except _NamesError:
            raise
        except DAMAGE as error:
            raise ValueError(
                f"{path}: expected plain arrays in a NumPy .npz archive, got a damaged "
                f"file or pickled objects; hint: write it with numpy.savez(path, x=x, "
                f"y=y)"
            ) from error


def _unpack(file: BinaryIO, path: Path, has_target: bool) -> dict[str, NDArray[Any]]:
    archive = np.load(file, allow_pickle=False)
    # A lone .npy file opens as an array.
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise zipfile.BadZipFile
    with archive:
        names = _names(path, archive.files, has_target)
        return {role: np.asarray(archive[name]) for role, name in names.items()}


class _NamesError(ValueError):
    """The archive is sound, but its arrays are not those that are needed."""


def _names(path: Path, files: list[str], has_target: bool) -> dict[str, str]:
    """The array that plays each role; raises for none and for more than one."""
    found = {}
    required = {"x", "y"}
    if {"x_test", "y_test"} & set(map(str.lower, files)):
        required |= {"x_test", "y_test"}
    for role, names in ROLES.items():
        if role.startswith("y") and not has_target:
            continue
        matches = [name for name in files if name.lower() in names]
        if len(matches) > 1:
            raise _NamesError(
                f"{path}: expected one array for {role}, got {', '.join(matches)}; "
                f"hint: keep one of them"
            )
        if role in required and not matches:
            raise _NamesError(
                f"{path}: expected an array named {' or '.join(names)}, got "
                f"{', '.join(files) or 'none'}; hint: numpy.savez(path, x=x, y=y)"
            )
        if matches:
            found[role] = matches[0]
    return found
