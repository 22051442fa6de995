"""One way in for every source: a built-in name, a table, an archive, MNIST's files."""

from collections.abc import Sequence
from pathlib import Path

from xpnet.common import check_flag, explains_arguments, nearest
from xpnet.data.archive import load_npz
from xpnet.data.dataset import Dataset
from xpnet.data.datasets import DATASETS, load
from xpnet.data.files import shown
from xpnet.data.idx import load_images, load_mnist
from xpnet.data.table import load_csv
from xpnet.data.target import encode_target

TABLES = (".csv", ".tsv", ".txt")


@explains_arguments
def load_data(
    source: str | Path,
    target: str | None = None,
    task: str = "auto",
    has_target: bool = True,
    columns: Sequence[str] | None = None,
) -> Dataset:
    """The data set that `source` names, whatever its form.

    A built-in name (`digits`, `xor`, ...; write `./digits` for a file of that name), a
    table (.csv, .tsv, .txt), a NumPy archive (.npz), a folder with MNIST's four files,
    or one IDX file of images with its labels beside it. `target` and `columns` choose
    columns of a table; `task` says what y is: "classification", "regression",
    "multilabel", or "auto" for what the values tell (`Dataset.taken` says what that
    was); `has_target=False` reads a source to predict on, y None.

    Raises FileNotFoundError for a source that is neither, with the nearest built-in
    name; ValueError as `load_csv`, `load_npz`, `load_mnist` do, for a target that does
    not tell its task, and for a file that would take more memory than there is.
    """
    has_target = check_flag("", "has_target", has_target)
    path = Path(source)
    if not str(source):
        names = nearest("", DATASETS)
        raise ValueError(f"data: expected a path or a data set, got ''; {names}")
    if not _is_builtin(source) and path.suffix.lower() in TABLES:
        return load_csv(path, target, task, has_target, columns)
    for name, value in (("target", target), ("columns", columns)):
        if value is not None:
            raise ValueError(
                f"{name}: expected none, for {source} has no named columns, got "
                f"{value!r}; hint: only tables ({', '.join(TABLES)}) have them"
            )
    if isinstance(source, str) and _is_builtin(source):
        return _load_builtin(source, task, has_target)
    return _load_file(path, task, has_target)


def _is_builtin(source: str | Path) -> bool:
    return isinstance(source, str) and source in DATASETS


def _load_builtin(name: str, task: str, has_target: bool) -> Dataset:
    x, y = load(name)
    if not has_target:
        return Dataset(x, None, name)
    auto = "regression" if y.dtype.kind == "f" else "classification"
    target = encode_target(y, auto if task == "auto" else task, name)
    return Dataset.of(x, target, name)


def _load_file(path: Path, task: str, has_target: bool) -> Dataset:
    if path.is_dir():
        return load_mnist(path, task, has_target)
    if not path.exists():
        raise FileNotFoundError(
            f"{shown(path)}: expected a file, a folder or a built-in data set, found "
            f"none; {nearest(path, DATASETS)}"
        )
    if path.suffix.lower() == ".npz":
        return load_npz(path, task, has_target)
    if "images" in path.name:
        return load_images(path, task, has_target)
    raise ValueError(
        f"{shown(path)}: expected {', '.join(TABLES)}, .npz or an IDX file of images, "
        f"got {shown(path.suffix) or 'a name without an ending'}; hint: give IDX "
        "labels by their images file, and rename a table to .csv"
    )
