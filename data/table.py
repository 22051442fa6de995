"""Tables of text (.csv, .tsv): a header of column names, then one sample a line."""

import csv
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from xpnet.common import check_flag, explains_arguments
from xpnet.data.columns import (
    Columns,
    bad_cell,
    check_names,
    choose_columns,
    target_values,
)
from xpnet.data.dataset import Dataset
from xpnet.data.files import check_memory, existing_file, memory_limit, shown
from xpnet.data.target import check_task, encode_target

DELIMITERS = (",", ";", "\t")
LONGEST = 32 << 20  # characters of a line
BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
TEXT = 8  # cells that a row's line number and its target's text take, about
CELL = 24  # bytes a cell takes while a table is read: float64, checked, float32

Rows = Iterator[tuple[int, list[str]]]  # (line number, cells)


@explains_arguments
def load_csv(
    path: str | Path,
    target: str | None = None,
    task: str = "auto",
    has_target: bool = True,
    columns: Sequence[str] | None = None,
) -> Dataset:
    """A table of numbers, separated by commas, semicolons or tabs, with a header.

    `target` names the target column, by default the last one; all others are features.
    `columns` names the features instead, in this order, and others are ignored: without
    a `target` beside it, as with `has_target=False`, y is None. The text is UTF-8.
    x is (samples, features) float32 (about seven digits); y is encoded for the `task`
    (see `encode_target`), and only the target may be text.

    Raises ValueError, naming line and column, for ragged lines, missing values and text
    in a feature, and for unknown or doubled names; FileNotFoundError for no file.
    """
    has_target = check_flag("", "has_target", has_target)
    if target is not None and not has_target:
        raise ValueError(
            f"target: expected none for a file without a target, got {target!r}; "
            "hint: leave it out, or load with has_target=True"
        )
    check_task(task)
    path = existing_file(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            names, rows = _open_table(file, path)
            if target is None and has_target and columns is None:
                target = names[-1]
            return _load(path, rows, choose_columns(path, names, target, columns), task)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{shown(path)}: expected UTF-8 text, got the byte "
            f"{error.object[error.start]:#x} ({_encoding_of(path)}); hint: save the "
            "table as UTF-8"
        ) from error
    except csv.Error as error:
        raise ValueError(
            f"{shown(path)}: expected a table of text, got a fault in its quoting "
            f"({error}); hint: close every quotation mark"
        ) from error


def _encoding_of(path: Path) -> str:
    """What a text that is not UTF-8 may be, by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(4)
    for mark, name in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return f"it is {name}"
    return "it may be Latin-1 or Windows-1252"


def _load(path: Path, rows: Rows, columns: Columns, task: str) -> Dataset:
    x, targets, lines = _read_cells(path, rows, columns)
    features = tuple(columns.names[i] for i in columns.features)
    if columns.target is None:
        return Dataset(x, None, path.stem, features)
    what = f"{shown(path)}: target {columns.names[columns.target]!r}"
    values = target_values(targets, lines, task, what)
    return Dataset.of(x, encode_target(values, task, what), path.stem, features)


def _open_table(file: TextIO, path: Path) -> tuple[tuple[str, ...], Rows]:
    """The column names, and the rows below; the separator is the header's commonest."""
    lines = _lines(file, path)
    first = next(lines, "")
    headers = {mark: _split(first, mark) for mark in DELIMITERS}
    mark = max(DELIMITERS, key=lambda mark: len(headers[mark]))
    names = tuple(name.strip() for name in headers[mark])
    check_names(path, names)
    return names, _rows(lines, path, mark, len(names))


def _split(line: str, mark: str) -> list[str]:
    """The cells of a line; none where the wrong separator makes one endless cell."""
    try:
        return next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
    except csv.Error:
        return []


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if "\0" in line:
            raise ValueError(
                f"{shown(path)}, line {number}: expected UTF-8 text, got a NUL byte; "
                "hint: save the table as UTF-8, not UTF-16"
            )
        if len(line) > LONGEST:
            raise ValueError(
                f"{shown(path)}, line {number}: expected at most {LONGEST} characters, "
                "got more; hint: keep so wide a table as an .npz file"
            )
        yield line


def _rows(lines: Iterator[str], path: Path, mark: str, width: int) -> Rows:
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True)
    for cells in reader:
        line = reader.line_num + 1  # the header was read before
        if not cells:
            continue
        if len(cells) != width:
            raise ValueError(
                f"{shown(path)}, line {line}: expected {width} columns as in the "
                f"header, got {len(cells)}; hint: quote text that holds the separator "
                f"{mark!r}"
            )
        yield line, cells


def _read_cells(
    path: Path, rows: Rows, columns: Columns
) -> tuple[NDArray[np.float32], list[str], list[int]]:
    """The features as float32, the target's texts, and each sample's line number."""
    numbers, targets, lines = array("d"), [], []
    width, most = len(columns.features) + TEXT, memory_limit() / CELL
    for line, cells in rows:
        features = [cells[i] for i in columns.features]
        try:
            # Python reads 1_000 as a number, a table does not.
            if "_" in "".join(features):
                raise ValueError
            numbers.extend(map(float, features))
        except ValueError:
            _blame(path, line, columns, features)
        if columns.target is not None:
            targets.append(cells[columns.target].strip())
        lines.append(line)
        if len(lines) * width > most:
            check_memory(
                f"{shown(path)}: its first {len(lines)} rows", width * CELL * len(lines)
            )
    if not lines:
        raise ValueError(
            f"{shown(path)}: expected a line a sample below the header, got none; "
            "hint: check that the whole file was written"
        )
    x = np.frombuffer(numbers, np.float64).reshape(len(lines), -1)
    bad = ~(np.abs(x) <= np.finfo(np.float32).max)
    for row in np.flatnonzero(bad.any(axis=1))[:1]:
        _blame(path, lines[row], columns, [str(value) for value in x[row]])
    return x.astype(np.float32), targets, lines


def _blame(path: Path, line: int, columns: Columns, features: list[str]) -> NoReturn:
    """Raise the error of the first feature cell that is no number float32 can hold."""
    named = zip(columns.features, features, strict=True)
    faults = ((column, bad_cell(cell)) for column, cell in named)
    column, fault = next((column, fault) for column, fault in faults if fault)
    what = f"{shown(path)}, line {line}, column {columns.names[column]!r}"
    raise ValueError(f"{what}: {fault}")
