"""IDX files, and MNIST's four of them."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from xpnet.data import load_idx, load_images, load_mnist

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx_bytes(values):
    """`values` as an IDX file, by the format's description."""
    code = {np.dtype(name): code for name, code in CODES.items()}[values.dtype]
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, code, values.ndim]) + sizes + values.tobytes()


def write(path, values, zipped=False):
    data = idx_bytes(values)
    path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return path


def is_mapped(values):
    """Whether `values` is a view of a memory-mapped file."""
    while values is not None and not isinstance(values, np.memmap):
        values = getattr(values, "base", None)
    return values is not None


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_an_array_comes_back_as_it_was_written(tmp_path, dtype, zipped):
    for shape in ((5,), (2, 3), (2, 3, 4)):
        values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        values[0] = 100
        # No ending: the first bytes tell what it is.
        path = write(tmp_path / f"values of {len(shape)} axes", values, zipped)
        got = load_idx(path)
        assert got.dtype == values.dtype
        assert np.array_equal(got, values)
        assert isinstance(got, np.memmap) is not zipped
        assert not got.flags.writeable


def test_a_large_file_is_mapped_and_not_read(tmp_path):
    path = tmp_path / "many-images-idx3-ubyte"
    shape = (2**18, 28, 28)  # 206 MB, of which most disks hold only the header
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape))
        file.truncate(16 + np.prod(shape))
    tracemalloc.start()
    try:
        images = load_images(path, has_target=False).x
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert images.shape == (2**18, 784)
    assert is_mapped(images)
    assert images[-1].tolist() == [0] * 784


GOOD = idx_bytes(np.arange(6, dtype="u1").reshape(2, 3))
HUGE = bytes([0, 0, 14, 3]) + struct.pack(">3I", *[2**32 - 1] * 3)


def zipped(data):
    return gzip.compress(data, mtime=0)


BAD_FILES = [
    (b"", "expected an IDX file.*got an empty file; hint"),
    (b"\0\0", "expected an IDX file.*got 00 00; hint"),
    (b"PK\x03\x04rest", "expected an IDX file.*got 50 4b 03 04; hint"),
    (b"\0\0\x0a\x01rest", "expected an IDX file.*got 00 00 0a 01; hint"),
    (b"\0\0\x08\0", "sizes of 1 to 64 axes, got 0 axes and 0 sizes; hint"),
    (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "1 to 64 axes, got 255 axes"),
    (b"\0\0\x08\x02\0\0\0\1", "got 2 axes and 1 sizes; hint"),
    (b"\0\0\x08\x01\0\0\0\0", "at least one item, got shape \\(0,\\); hint"),
    (GOOD[:-1], "expected 18 bytes.*\\(2, 3\\).*uint8, got 17 bytes; hint.*truncated"),
    (GOOD + b"x", "expected 18 bytes.*got more; hint.*trailing bytes"),
    (HUGE, "expected 6338252.* bytes .*got 16 bytes; hint.*truncated"),
    (zipped(GOOD)[:-9], "whole gzip file.*damaged or truncated one; hint"),
    (zipped(GOOD) + b"junk", "whole gzip file.*; hint"),
    (zipped(GOOD[:-1]), "expected 18 bytes.*got 17 bytes; hint.*truncated"),
    (zipped(GOOD + b"x"), "expected 18 bytes.*got more; hint.*trailing"),
    (zipped(HUGE), "whole gzip file.*; hint"),
]


@pytest.mark.parametrize(("data", "message"), BAD_FILES)
def test_a_bad_file_is_described_in_one_line(tmp_path, data, message):
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        load_idx(path)
    assert "\n" not in str(caught.value)


PARTS = {"train": 40, "t10k": 20}


def write_mnist(folder, zipped=False, joint="-"):
    """A small data set in MNIST's four files; gives its images."""
    images = {}
    for i, (part, samples) in enumerate(PARTS.items()):
        rng = np.random.Generator(np.random.Philox(i))
        images[part] = rng.integers(0, 256, (samples, 4, 3)).astype("u1")
        labels = np.arange(samples, dtype="u1") % 10
        for kind, values in (("images", images[part]), ("labels", labels)):
            name = f"{part}-{kind}{joint}idx{values.ndim}-ubyte" + ".gz" * zipped
            write(folder / name, values, zipped)
    return images


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("joint", ["-", "."])
def test_mnist_is_found_under_every_spelling(tmp_path, zipped, joint):
    images = write_mnist(tmp_path, zipped, joint)
    data = load_mnist(tmp_path)
    assert np.array_equal(data.x, images["train"].reshape(40, 12))
    assert np.array_equal(data.x_test, images["t10k"].reshape(20, 12))
    assert data.classes == tuple(range(10))
    assert data.y.tolist() == [i % 10 for i in range(40)]
    assert data.y_test.tolist() == [i % 10 for i in range(20)]
    assert is_mapped(data.x) is not zipped
    assert is_mapped(data.x_test) is not zipped


@pytest.mark.parametrize("joint", ["-", "."])
def test_images_find_their_labels_gzipped_or_not(tmp_path, joint):
    write_mnist(tmp_path, joint=joint)
    path = tmp_path / "train-labels-idx1-ubyte"
    labels = tmp_path / f"train-labels{joint}idx1-ubyte"
    path.with_suffix(".gz").write_bytes(b"")  # no spelling of the labels' name
    content = gzip.compress(labels.read_bytes(), mtime=0)
    (tmp_path / (path.name + ".gz")).write_bytes(content)
    labels.unlink()
    data = load_images(tmp_path / f"train-images{joint}idx3-ubyte")
    assert data.x.shape == (40, 12)
    assert data.y.tolist() == [i % 10 for i in range(40)]
    assert data.x_test is None


def test_files_that_are_missing_or_do_not_fit_are_named(tmp_path):
    write_mnist(tmp_path)
    train = tmp_path / "train-images-idx3-ubyte"
    labels = tmp_path / "train-labels-idx1-ubyte"
    with pytest.raises(ValueError, match=r"expected a file of images.*; hint"):
        load_images(labels)
    write(labels, np.arange(39, dtype="u1") % 10)
    with pytest.raises(ValueError, match="got 40 rows in x and 39 in y; hint"):
        load_mnist(tmp_path)
    write(labels, np.arange(40, dtype="u1") % 10)
    write(tmp_path / "t10k-labels-idx1-ubyte", np.full(20, 11, "u1"))
    with pytest.raises(ValueError, match="labels of the training part, got 11; hint"):
        load_mnist(tmp_path)
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=r"labels train-labels.*; hint"):
        load_images(train)
    data = load_mnist(tmp_path, has_target=False)  # no labels are needed to predict
    assert (data.y, data.y_test) == (None, None)
    assert data.x_test.shape == (20, 12)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    message = "missing train-labels-idx1-ubyte, t10k-images-idx3-ubyte; hint"
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(tmp_path)
