"""The columns of a text table: their names, and which are features or the target."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xpnet.common import nearest
from xpnet.data.cells import is_number


class Columns(NamedTuple):
    """Where a table's features and its target, if any, stand among its `names`."""

    names: tuple[str, ...]
    features: list[int]
    target: int | None


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raise ValueError unless `names` is a header: a different name for each column."""
    if not any(names):
        raise ValueError(
            f"{path}: expected a header of column names, got an empty line or file; "
            f"hint: put the names into the first line"
        )
    # Columns called 0, 1, 2, ... are what pandas writes for an array without names.
    numbered = names == tuple(map(str, range(len(names))))
    if all(map(is_number, names)) and not numbered:
        raise ValueError(
            f"{path}: expected a header of column names, got the numbers "
            f"{', '.join(names[:3])}; hint: put names into the first line"
        )
    for i, name in enumerate(names):
        if not name:
            raise ValueError(
                f"{path}: expected a name for every column, got none for column "
                f"{i + 1}; hint: name it, or leave out an index (pandas: index=False)"
            )
        if name in names[:i]:
            raise ValueError(
                f"{path}: expected different column names, got {name!r} twice; hint: "
                f"rename columns {names.index(name) + 1} and {i + 1}"
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
    for what, name in [("target", target), *(("column", name) for name in features)]:
        if name is not None and name not in names:
            raise ValueError(f"{path}: unknown {what} {name!r}; {nearest(name, names)}")
    if not features or target in features or len(set(features)) < len(features):
        raise ValueError(
            f"{path}: expected at least one feature column, each once and apart from "
            f"the target, got {', '.join(features) or 'none'}; hint: columns are "
            f"separated by commas, semicolons or tabs"
        )
    index = {name: i for i, name in enumerate(names)}
    at = None if target is None else index[target]
    return Columns(names, [index[name] for name in features], at)
