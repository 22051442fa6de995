"""What every room's boundary shares: bad input as one clear error, before any work."""

import inspect
import math
import os
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from xpnet.common.words import nearest

T = TypeVar("T")


@cache
def parameters(kind: Hashable) -> tuple[tuple[str, inspect.Parameter], ...]:
    """(name, parameter) of a class' constructor."""
    return tuple(inspect.signature(cast(type, kind)).parameters.items())


def check_number(
    owner: str, value: Any, expected: str, right: Callable[[float], bool]
) -> float:
    """`value` as a float that is finite and `right`.

    Args:
        owner: what has this argument; "" where `expected` says enough.
        value: the argument.
        expected: what it must be, with its name: "0 <= rate < 1".
        right: the same as a function.

    Raises:
        TypeError: not a number.
        ValueError: another one than `expected` says.
    """
    text = f"{owner}: expected {expected}" if owner else f"expected {expected}"
    if isinstance(value, bool) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{text}, a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond every float
        number = math.inf
    if not (math.isfinite(number) and right(number)):
        raise ValueError(f"{text}, got {shown(value, str)}")
    return number


def shown(value: Any, text: Callable[[Any], str] = repr) -> str:
    """`value` in a message: on one line, and not of endless length."""
    try:
        line = " ".join(text(value).split())
    except Exception:  # such as an int of more digits than Python writes
        line = f"one of type {type(value).__name__}, too long to show"
    return shortened(line)


def shortened(text: str, most: int = 60) -> str:
    """`text` with its middle left out where it is longer than `most` characters."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def check_flag(owner: str, name: str, value: Any, wanted: str = "") -> bool:
    """`value` as True or False.

    A text such as "no" is true to Python, and so are 2 and NaN; none of them is a
    flag. 0 and 1 are, since NumPy and configuration files write them for False and
    True.

    Raises:
        TypeError: anything else.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer) and value in (0, 1):
        return bool(value)
    argument = f"{owner}: {name}" if owner else name
    wanted = wanted or "True or False"
    raise TypeError(f"{argument}: expected {wanted}, got {shown(value)}")


def check_optional_flag(owner: str, name: str, value: Any) -> bool | None:
    """Likewise, where None leaves the choice open."""
    if value is None:
        return None
    return check_flag(owner, name, value, "True, False or None")


def check_whole(
    owner: str, name: str, value: Any, low: int, high: int | None = None
) -> int:
    """`value` as a whole number in low..high; raises ValueError otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        span = f">= {low}" if high is None else f"from {low} to {high}"
        if owner:
            raise ValueError(
                f"{owner}: expected {name} {span}, a whole number; got {shown(value)}"
            )
        raise ValueError(f"{name}: expected a whole number {span}, got {shown(value)}")
    return int(value)


def choose(name: str, table: Mapping[str, T], what: str) -> T:
    """The row `name` of `table`; raises ValueError with the nearest valid name."""
    if not isinstance(name, str):
        raise TypeError(
            f"{what}: expected a name, got {type(name).__name__}; {nearest('', table)}"
        )
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; {nearest(name, table)}")
    return table[name]


def check_path(path: Any, flag: str) -> Path:
    """`path` as a `Path`.

    Raises:
        TypeError: neither text nor a path.
        ValueError: the empty text, or one with a NUL, which no file has in its name.
    """
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise TypeError(
            f"{flag}: expected the path of a file or folder as text, got {path!r}"
        )
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"{flag}: expected the path of a file or folder, got {text!r}")
    return Path(text)


def check_directory(path: Any, flag: str) -> Path:
    """`path` of a folder, made later where there is none.

    Raises:
        TypeError, ValueError: as `check_path`; something else is in its place.
    """
    folder = check_path(path, flag)
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    if there is not None and not there.is_dir():
        raise ValueError(
            f"{flag}: expected a directory, got the file {there}; name another place"
        )
    return folder


def check_folder(folder: str | Path, flag: str) -> Path:
    """`folder`, made where there is none; ValueError unless files can be written there.

    A file is really made and removed: permissions say yes to the superuser, and on
    read-only file systems, where writing fails.
    """
    import tempfile  # a sixth of what importing the rest takes

    path, word = check_directory(folder, flag), "made"
    try:
        path.mkdir(parents=True, exist_ok=True)
        word = "written"
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise ValueError(_unwritable(path, flag, word, error)) from None


def check_file(file: str | Path, flag: str) -> Path:
    """`file` as a path; ValueError unless it can be written. It is left as it is."""
    path = check_path(file, flag)
    if path.is_dir():
        raise ValueError(f"{flag}: expected a file, got the folder {path}")
    if not path.parent.is_dir():
        raise ValueError(f"{flag}: there is no folder {path.parent}; make it first")
    if not path.exists():
        check_folder(path.parent, flag)
        return path
    try:
        # Opening a pipe without a reader would wait for one.
        os.close(os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)))
        return path
    except OSError as error:
        raise ValueError(_unwritable(path, flag, "written", error)) from None


def _unwritable(path: Path, flag: str, word: str, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{flag}: {path} cannot be {word} ({reason}); name another place"
