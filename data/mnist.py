"""MNIST and data sets in its form: a file of images, and a file of labels beside it."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from xpnet.common import check_flag, explains_arguments
from xpnet.data.dataset import Dataset
from xpnet.data.features import as_features
from xpnet.data.files import existing_file, shown
from xpnet.data.idx import load_idx
from xpnet.data.target import Target, encode_known, encode_target

FILES = {
    "x": "train-images-idx3-ubyte",
    "y": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@explains_arguments
def load_mnist(
    directory: str | Path, task: str = "auto", has_target: bool = True
) -> Dataset:
    """MNIST's four IDX files in `directory`, gzipped or not, as a Dataset.

    x is (60000, 784) uint8 in 0..255, x_test (10000, 784): views of memory-mapped files
    where these are not gzipped. Names such as `train-images.idx3-ubyte` do as well.
    With `has_target=False` the label files are not read.

    Raises FileNotFoundError that lists the missing files, ValueError for files that are
    damaged or do not fit. Source: http://yann.lecun.com/exdb/mnist/
    """
    has_target = check_flag("", "has_target", has_target)
    directory = Path(directory)
    wanted = {r: f for r, f in FILES.items() if has_target or r.startswith("x")}
    found = {role: _find(directory, file) for role, file in wanted.items()}
    missing = [wanted[role] for role, path in found.items() if path is None]
    if missing:
        raise FileNotFoundError(
            f"{shown(directory)}: expected MNIST's files (plain or .gz), missing "
            f"{', '.join(missing)}; hint: download them into this folder"
        )
    paths = {role: path for role, path in found.items() if path is not None}
    x, x_test = _images(paths["x"]), _images(paths["x_test"])
    name = directory.resolve().name
    if not has_target:
        return Dataset(x, None, name, x_test=x_test)
    target = _labels(paths["y"], task)
    y_test = encode_known(load_idx(paths["y_test"]), target, shown(paths["y_test"]))
    return Dataset.of(x, target, name, None, x_test, y_test)


def load_images(
    path: str | Path, task: str = "auto", has_target: bool = True
) -> Dataset:
    """One IDX file of images, its name holding `images`, with the labels beside it.

    The labels' name says `labels` for `images` and `idx1` for `idx3`. x is
    (samples, height × width) in the file's dtype, a view of a memory-mapped file unless
    gzipped. With `has_target=False` no labels are needed.

    Raises FileNotFoundError for a missing file, ValueError for files that are damaged
    or do not fit.
    """
    has_target = check_flag("", "has_target", has_target)
    path = existing_file(path)
    if "images" not in path.name:
        raise ValueError(
            f"{shown(path)}: expected a file of images, named so, got {path.name}; "
            "hint: the labels are found beside it, their name saying labels for images"
        )
    x, name = _images(path), path.name.split(".")[0]
    if not has_target:
        return Dataset(x, None, name)
    wanted = path.name.removesuffix(".gz")
    wanted = wanted.replace("images", "labels").replace("idx3", "idx1")
    wanted = wanted.replace(".idx", "-idx")
    labels = _find(path.parent, wanted)
    if labels is None:
        raise FileNotFoundError(
            f"{shown(path)}: expected the labels {wanted} (plain or .gz) beside it, "
            "found none; hint: put both files into one folder"
        )
    return Dataset.of(x, _labels(labels, task), name)


def _images(path: Path) -> NDArray[Any]:
    return as_features(load_idx(path), shown(path))


def _labels(path: Path, task: str) -> Target:
    """The labels; whole numbers are classes, for so the file is called."""
    labels = load_idx(path)
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    auto = "classification" if task == "auto" and whole else task
    return encode_target(labels, auto, shown(path))


def _find(directory: Path, name: str) -> Path | None:
    """The file `name`, preferably not gzipped; `-idx` may be spelt `.idx`."""
    spellings = (name, name.replace("-idx", ".idx"))
    for suffix in ("", ".gz"):
        for spelling in spellings:
            path = directory / (spelling + suffix)
            if path.is_file():
                return path
    return None
