"""IDX files, the format of MNIST: a short header, then one array of big-endian numbers.

Data sets in MNIST's form are a file of images and a file of labels beside it.

The header is two zero bytes, a type code, the number of axes, and each axis' size as
an unsigned 32-bit integer (http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from xpnet.common import check_flag, explains_arguments
from xpnet.data.dataset import Dataset
from xpnet.data.features import as_features
from xpnet.data.files import check_memory, existing_file, shown
from xpnet.data.target import Target, encode_known, encode_target

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot shrink data by more than this, so a header that claims more is wrong.
GZIP_RATIO = 1032
MAX_AXES = 64  # what NumPy can hold


class Header(NamedTuple):
    """What an IDX header says: the array's dtype and shape, and where it starts."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def file_bytes(self) -> int:
        """The length of the whole file, header and numbers."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


@explains_arguments
def load_idx(path: str | Path) -> NDArray[Any]:
    """The array of one IDX file, read-only, in the file's own (big-endian) dtype.

    An uncompressed file is memory-mapped: nothing but its header is read until it is
    indexed. A gzipped one, known by its first bytes, is decompressed into memory.

    Raises ValueError for anything but a whole IDX file, before memory is taken for it;
    FileNotFoundError for no file.
    """
    path = existing_file(path)
    with open(path, "rb") as file:
        if file.read(2) == GZIP_MAGIC:
            file.seek(0)
            return _load_gzipped(file, path)
        file.seek(0)
        header = _read_header(file, path)
    _check_length(path, header, path.stat().st_size)
    return np.memmap(path, header.dtype, "r", header.offset, header.shape)


def _load_gzipped(file: BinaryIO, path: Path) -> NDArray[Any]:
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            stream = cast(BinaryIO, unpacked)
            header = _read_header(stream, path)
            if header.file_bytes > GZIP_RATIO * path.stat().st_size:
                raise EOFError
            check_memory(f"{shown(path)}: its array", header.file_bytes)
            data = _read_rest(stream, header.file_bytes - header.offset)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{shown(path)}: expected a whole gzip file, got a damaged or truncated "
            "one; hint: download it again"
        ) from error
    _check_length(path, header, header.offset + len(data))
    values = np.frombuffer(data, header.dtype).reshape(header.shape)
    values.flags.writeable = False  # as a memory-mapped file is
    return values


def _read_rest(stream: BinaryIO, length: int) -> bytearray:
    """Up to `length` bytes and one more, which tells of trailing bytes."""
    data = bytearray()
    while chunk := stream.read(min(1 << 20, length + 1 - len(data))):
        data += chunk
    return data


def _read_header(stream: BinaryIO, path: Path) -> Header:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES:
        raise ValueError(
            f"{shown(path)}: expected an IDX file (00 00, a type code of "
            f"{', '.join(f'{code:02x}' for code in DTYPES)}, the number of axes), got "
            f"{magic.hex(' ') or 'an empty file'}; hint: MNIST's files are named "
            f"as train-images-idx3-ubyte"
        )
    axes = magic[3]
    sizes = stream.read(4 * axes)
    if not 1 <= axes <= MAX_AXES or len(sizes) < 4 * axes:
        raise ValueError(
            f"{shown(path)}: expected an IDX header with the sizes of 1 to {MAX_AXES} "
            f"axes, got {axes} axes and {len(sizes) // 4} sizes; hint: download it "
            "again"
        )
    shape = struct.unpack(f">{axes}I", sizes)
    if 0 in shape:
        raise ValueError(
            f"{shown(path)}: expected an array with at least one item, got shape "
            f"{shape}; hint: check how the file was made"
        )
    return Header(np.dtype(DTYPES[magic[2]]), shape, 4 + 4 * axes)


def _check_length(path: Path, header: Header, got: int) -> None:
    if got == header.file_bytes:
        return
    fault = "is truncated" if got < header.file_bytes else "has trailing bytes"
    got_text = f"{got} bytes" if got < header.file_bytes else "more"
    raise ValueError(
        f"{shown(path)}: expected {header.file_bytes} bytes for shape {header.shape} "
        f"of {header.dtype}, got {got_text}; hint: the file {fault}, download it again"
    )


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
