"""The columns of a text table: their names, and which are features or the target."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xpnet.common import nearest, printable
from xpnet.data.cells import is_number
from xpnet.data.files import shown


class MissingColumnsError(ValueError):
    """A table has not all the columns that were asked for.

    Attributes:
        missing: their names.
        names: of the columns that are there.
    """

    def __init__(self, message: str, missing: list[str], names: tuple[str, ...]):
        super().__init__(message)
        self.missing, self.names = missing, names


class Columns(NamedTuple):
    """Where a table's features and its target, if any, stand among its `names`."""

    names: tuple[str, ...]
    features: list[int]
    target: int | None


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raise ValueError unless `names` is a header: a different name for each column."""
    if not any(names):
        raise ValueError(
            f"{shown(path)}: expected a header of column names, got an empty line or "
            "file; hint: put the names into the first line"
        )
    # Columns called 0, 1, 2, ... are what pandas writes for an array without names.
    numbered = names == tuple(map(str, range(len(names))))
    if all(map(is_number, names)) and not numbered:
        raise ValueError(
            f"{shown(path)}: expected a header of column names, got the numbers "
            f"{printable(', '.join(names[:3]))}; hint: put names into the first line"
        )
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise ValueError(
                f"{shown(path)}: expected a name for every column, got none for column "
                f"{i + 1}; hint: name it, or leave out an index (pandas: index=False)"
            )
        first = seen.setdefault(name, i)
        if first != i:
            raise ValueError(
                f"{shown(path)}: expected different column names, got {name!r} twice; "
                f"hint: rename columns {first + 1} and {i + 1}"
            )


def choose_columns(
    path: Path,
    names: tuple[str, ...],
    target: str | None,
    features: Sequence[str] | None,
) -> Columns:
    """The columns to read: `features` in their order, or all `names` but the target.

    Raises ValueError for unknown names, with the nearest valid one, and for no
    features, doubled ones, or the target among them.
    """
    if features is None:
        features = [name for name in names if name != target]
    index = {name: i for i, name in enumerate(names)}
    wanted = [("target", target), *(("column", name) for name in features)]
    missing = [(what, name) for what, name in wanted if name and name not in index]
    if missing:
        what, name = missing[0]
        raise MissingColumnsError(
            f"{shown(path)}: unknown {what} {name!r}; {nearest(name, names)}",
            [name for _, name in missing],
            names,
        )
    if not features or target in features or len(set(features)) < len(features):
        raise ValueError(
            f"{shown(path)}: expected at least one feature column, each once and apart "
            f"from the target, got {_listed(features)}; hint: columns are separated by "
            "commas, semicolons or tabs"
        )
    at = None if target is None else index[target]
    return Columns(names, [index[name] for name in features], at)


def _listed(names: Sequence[str]) -> str:
    """The first names, safe to print."""
    more = ["..."] if len(names) > 10 else []
    return ", ".join([*map(printable, names[:10]), *more]) or "none"
