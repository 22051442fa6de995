"""NumPy archives, and the one way in for every source."""

import numpy as np
import pytest

from xpnet.data import DATASETS, Dataset, datasets, load_data, load_npz

X = np.arange(12, dtype=np.float64).reshape(6, 2)
Y = np.array([3, 5, 3, 5, 3, 5], np.uint8)


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        path = tmp_path / "file.npz"
        np.savez(path, **arrays)
        return path

    return save


HOT = np.eye(3)[[0, 1, 2, 0, 1, 2]]
YES_NO = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]])


def test_an_archive_gives_its_arrays_under_any_usual_name(save):
    for names in (("x", "y"), ("X", "Y"), ("x_train", "y_train")):
        data = load_npz(save(**dict(zip(names, (X, Y), strict=True)), other=X))
        assert data.x.dtype == X.dtype
        assert np.array_equal(data.x, X)
        assert data.classes == (3, 5)
        assert data.y.tolist() == [0, 1, 0, 1, 0, 1]
        assert (data.name, data.x_test, data.y_test) == ("file", None, None)
    data = load_npz(save(x=X), has_target=False)  # to predict on
    assert np.array_equal(data.x, X)
    assert data.y is None


@pytest.mark.parametrize(
    ("y", "task", "classes", "shape"),
    [
        (np.array(["b", "a"] * 3), "auto", ("a", "b"), (6,)),
        (np.array([True, False] * 3), "auto", (0, 1), (6,)),
        (Y.reshape(6, 1), "auto", (3, 5), (6,)),
        (Y.astype(float), "auto", (3, 5), (6,)),
        (Y, "regression", None, (6, 1)),
        (np.linspace(0, 1, 6), "auto", None, (6, 1)),
        (X, "auto", None, (6, 2)),
        (HOT, "regression", None, (6, 3)),
        (YES_NO, "auto", None, (6, 3)),
        (YES_NO > 0, "auto", None, (6, 3)),
        (YES_NO[:, 0], "multilabel", None, (6, 1)),
    ],
)
def test_targets_are_encoded_by_what_they_hold(save, y, task, classes, shape):
    data = load_npz(save(x=X, y=y), task)
    assert data.classes == classes
    assert data.y.shape == shape
    assert data.y.dtype == (np.float32 if classes is None else np.int64)
    if classes:
        assert [classes[code] for code in data.y] == y.reshape(-1).tolist()
    else:
        np.testing.assert_allclose(data.y, y.reshape(shape))


def test_kerass_mnist_layout_gives_a_flattened_train_and_test_part(save):
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    parts = {"x_train": images, "y_train": Y, "x_test": images[:2], "y_test": Y[:2]}
    data = load_npz(save(**parts))
    assert data.x.dtype == np.uint8
    assert np.array_equal(data.x, images.reshape(6, 4))
    assert np.array_equal(data.x_test, data.x[:2])
    assert data.y_test.tolist() == [0, 1]
    assert data.y_test.dtype == np.int64


NAN = np.where(np.arange(12).reshape(6, 2) == 5, np.nan, X)

BAD_ARCHIVES = [
    ({"y": Y, "z": X}, "named x or x_train, got y, z; hint"),
    ({"x": X}, "named y or y_train, got x; hint"),
    ({"x": X, "y": Y, "X": X}, "one array for x, got x, X; hint"),
    ({"x": X, "y": Y, "x_test": X}, "named y_test, got x, y, x_test; hint"),
    ({"x": X, "y": Y, "y_test": Y}, "named x_test, got x, y, y_test; hint"),
    ({"x": X, "y": Y[:5]}, "got 6 rows in x and 5 in y; hint"),
    ({"x": X, "y": Y, "x_test": X, "y_test": Y[:5]}, "6 rows in x_test and 5 in y_t"),
    ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, "x_test with 2 f.*got 1; hint"),
    ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "y_test: .*part, got 4; hint"),
    ({"x": X, "y": Y, "x_test": X, "y_test": Y.astype(str)}, "got '3'; hint"),
    ({"x": NAN, "y": Y}, "x: .*finite.*got nan at row 2, column 1 .*; hint"),
    ({"x": X.astype(str), "y": Y}, "x: expected numbers, got dtype <U.*; hint"),
    ({"x": X.astype(complex), "y": Y}, "x: expected numbers, got dtype complex.*hint"),
    ({"x": X[:0], "y": Y}, "x: .*at least one of each, got shape \\(0, 2\\); hint"),
    ({"x": X, "y": Y[:0]}, "y: .*at least one sample, got shape \\(0,\\); hint"),
    ({"x": X, "y": NAN[:, 1]}, "y: expected finite numbers, got nan at row 2 .*; hint"),
    ({"x": X, "y": np.zeros((6, 1, 1))}, "y: .*got float64 of shape \\(6, 1, 1\\)"),
    ({"x": X, "y": Y.astype(object)}, "y: .*got Python objects .*pickled.*; hint"),
    ({"x": X, "y": X[:, 0] * 1e50 + 0.5}, "y: .*range of float32.*; hint"),
    ({"x": X.astype(object), "y": Y}, "x: .*got Python objects .*pickled.*; hint"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_ARCHIVES)
def test_a_bad_archive_is_described_in_one_line(save, arrays, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_npz(save(**arrays))
    assert "\n" not in str(caught.value)


def test_rows_of_the_test_part_are_encoded_as_those_of_the_training_part(save):
    parts = {"x": X, "y": HOT, "x_test": X[:2], "y_test": HOT[[2, 0]]}
    assert load_npz(save(**parts)).y_test.tolist() == [2, 0]
    parts |= {"y": YES_NO, "y_test": YES_NO[1:3]}
    assert load_npz(save(**parts)).y_test.tolist() == YES_NO[1:3].tolist()
    wide = np.eye(4)[[3, 0]]
    with pytest.raises(ValueError, match=r"y_test: .*got 3; hint: .*0, 1, 2"):
        load_npz(save(x=X, y=HOT, x_test=X[:2], y_test=wide))


@pytest.mark.parametrize("fault", ["empty", "text", "cut", "flipped", "npy"])
def test_a_damaged_archive_is_refused(save, fault):
    path = save(x=X, y=Y)
    data = bytearray(path.read_bytes())
    at = data.find(X.tobytes())
    data[at] ^= 255
    faulty = {"empty": b"", "text": b"x,y\n1,2\n", "cut": data[:-30], "flipped": data}
    if fault == "npy":
        np.save(path.with_suffix(".npy"), X)
        path.with_suffix(".npy").rename(path)
    else:
        path.write_bytes(faulty[fault])
    with pytest.raises(ValueError, match=r"file.npz: .*got a damaged file.*; hint"):
        load_npz(path)


def test_a_built_in_name_gives_its_data_set():
    for name in DATASETS:
        data = load_data(name)
        x, y = datasets.load(name)
        assert np.array_equal(data.x, x)
        assert np.array_equal(data.y, y)
        assert data.name == name
        assert data.task == ("regression" if name == "line" else "classification")
    assert load_data("digits", task="regression").y.shape == (1797, 1)
    assert load_data("digits", has_target=False).y is None


def test_a_file_is_known_by_its_ending(save, tmp_path):
    for name in ("t.csv", "t.tsv", "t.TXT"):
        path = tmp_path / name
        path.write_text("a\ty\tb\n1\tu\t2\n3\tv\t4\n")
        assert load_data(str(path), target="y").classes == ("u", "v")
        assert load_data(path, columns=["b"]).x.tolist() == [[2], [4]]
    assert load_data(save(x=X, y=Y)).classes == (3, 5)
    assert load_data(save(x=X), has_target=False).y is None
    path = tmp_path / "my-images-idx2-ubyte"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9]))
    assert load_data(path, has_target=False).x.tolist() == [[7, 9]]


BAD_SOURCES = [
    ("digit", {}, FileNotFoundError, "found none; did you mean 'digits'"),
    ("none.npz", {}, FileNotFoundError, "none.npz: expected a file.*found none"),
    ("none.csv", {}, FileNotFoundError, "none.csv: expected a file.*found none"),
    ("digits", {"target": "y"}, ValueError, "target: expected none.*got 'y'; hint"),
    ("digits", {"columns": ["a"]}, ValueError, "columns: expected none.*; hint"),
    ("digits", {"task": "regress"}, ValueError, "unknown task 'regress'; did you"),
    ("line", {"task": "classification"}, ValueError, "line: expected whole num.*; h"),
    ("notes.md", {}, ValueError, "notes.md: expected .csv.*got .md; hint"),
    (".", {}, FileNotFoundError, r"MNIST's files .*missing train"),
    ("./digits/", {}, FileNotFoundError, "MNIST"),  # a path is never a name
]


@pytest.mark.parametrize(("source", "arguments", "error", "message"), BAD_SOURCES)
def test_a_bad_source_is_described_in_one_line(
    tmp_path, monkeypatch, source, arguments, error, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "notes.md").write_text("notes")
    with pytest.raises(error, match=message) as caught:
        load_data(source, **arguments)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_archive_and_a_data_set_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="got a folder; hint"):
        load_npz(tmp_path)
    data = Dataset(X, None, "mine")
    with pytest.raises(AttributeError, match="cannot assign"):
        data.x = X
