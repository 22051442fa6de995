"""NumPy archives (.npz): arrays named `x` and `y`, or as Keras does `x_train`, ..."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from xpnet.common import check_flag, explains_arguments
from xpnet.data.dataset import Dataset
from xpnet.data.features import as_features
from xpnet.data.files import check_memory, existing_file, listed, shown
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
    RuntimeError,
)
SUFFIX = ".npy"


@explains_arguments
def load_npz(path: str | Path, task: str = "auto", has_target: bool = True) -> Dataset:
    """The arrays `x` and `y` of a .npz file, or `x_train`, `y_train`, as a Dataset.

    `x_test` and `y_test` become its test part. Capitals do not matter, x keeps its
    dtype and is flattened to (samples, features), and y is encoded for the `task`
    (see `encode_target`). With `has_target=False` only x is read. Nothing is unpickled.

    Raises ValueError for a damaged file, a missing or an ambiguous array, for arrays
    that do not fit, and for more than the memory holds, before it is taken;
    FileNotFoundError for no file.
    """
    has_target = check_flag("", "has_target", has_target)
    path = existing_file(path)
    arrays, where = _read(path, has_target), shown(path)
    x = as_features(arrays["x"], f"{where}: x")
    x_test = arrays.get("x_test")
    if x_test is not None:
        x_test = as_features(x_test, f"{where}: x_test")
    if not has_target:
        return Dataset(x, None, path.stem, x_test=x_test)
    target = encode_target(arrays["y"], task, f"{where}: y")
    y_test = arrays.get("y_test")
    if y_test is not None:
        y_test = encode_known(y_test, target, f"{where}: y_test")
    return Dataset.of(x, target, path.stem, None, x_test, y_test)


def _read(path: Path, has_target: bool) -> dict[str, NDArray[Any]]:
    """The arrays of the file by their role: x, y, x_test, y_test."""
    try:
        _check_memory(f"{shown(path)}: the file", path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, path, has_target)
    except _ContentError:
        raise
    except DAMAGE as error:
        raise ValueError(
            f"{shown(path)}: expected arrays in a NumPy .npz archive, got a damaged "
            f"file; hint: write it with numpy.savez(path, x=x, y=y)"
        ) from error


def _unpack(
    archive: zipfile.ZipFile, path: Path, has_target: bool
) -> dict[str, NDArray[Any]]:
    members = {name.removesuffix(SUFFIX): name for name in archive.namelist()}
    names = _names(path, list(members), has_target)
    needed = sum(archive.getinfo(members[name]).file_size for name in names.values())
    _check_memory(f"{shown(path)}: {', '.join(names)}", needed)
    arrays = {}
    for role, name in names.items():
        _check_member(archive, members[name], f"{shown(path)}: {role}")
        with archive.open(members[name]) as file:
            arrays[role] = np.asarray(npy.read_array(file, allow_pickle=False))
            file.read(1)  # at its end the checksum is compared
    return arrays


def _check_memory(what: str, needed: int) -> None:
    try:
        check_memory(what, needed)
    except ValueError as error:
        raise _ContentError(str(error)) from None


def _check_member(archive: zipfile.ZipFile, name: str, what: str) -> None:
    """Raise ValueError for objects, and for a header that claims another size."""
    with archive.open(name) as file:
        first = npy.read_magic(file) == (1, 0)
        read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        start = file.tell()
    if dtype.hasobject:
        raise _ContentError(
            f"{what}: expected numbers or text, got Python objects (dtype {dtype}), "
            "which are pickled and never read; hint: convert it before saving, "
            "x.astype(float)"
        )
    if start + math.prod(shape) * dtype.itemsize != archive.getinfo(name).file_size:
        raise zipfile.BadZipFile("an array of another size than its header says")


class _ContentError(ValueError):
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
            raise _ContentError(
                f"{shown(path)}: expected one array for {role}, got "
                f"{listed(matches)}; hint: keep one of them"
            )
        if role in required and not matches:
            raise _ContentError(
                f"{shown(path)}: expected an array named {' or '.join(names)}, got "
                f"{listed(files)}; hint: numpy.savez(path, x=x, y=y)"
            )
        if matches:
            found[role] = matches[0]
    return found
