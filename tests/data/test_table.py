"""Reading tables of text."""

import itertools

import numpy as np
import pytest

from xpnet.data import load_csv

FLOWERS = "length,width,kind\n1,2.5,rose\n3,4,aster\n5,6,rose\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_the_last_column_is_the_target_and_text_is_classes(write):
    data = load_csv(write(FLOWERS))
    assert data.x.dtype == np.float32
    assert data.x.tolist() == [[1, 2.5], [3, 4], [5, 6]]
    assert data.feature_names == ("length", "width")
    assert data.classes == ("aster", "rose")
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [1, 0, 1]
    assert (data.task, data.name) == ("classification", "table")


def test_separators_byte_order_marks_and_line_ends_do_not_matter(write):
    for mark, start, end in itertools.product(
        ",;\t", (b"", b"\xef\xbb\xbf"), ("\n", "\r\n", "\n\n")
    ):
        text = FLOWERS.replace(",", mark).replace("\n", end)
        data = load_csv(write(start + text.encode()))
        assert data.feature_names == ("length", "width")
        assert data.y.tolist() == [1, 0, 1]
    data = load_csv(write('"a, in m";"b"\n1;"x;y"\n2;"z"\n'))  # quoted separators
    assert data.feature_names == ("a, in m",)
    assert data.classes == ("x;y", "z")


def test_a_named_target_may_stand_anywhere(write):
    data = load_csv(write("y,a,b\n0.5,1,2\n1.5,3,4\n"), target="y")
    assert data.x.tolist() == [[1, 2], [3, 4]]
    assert data.y.tolist() == [[0.5], [1.5]]
    assert data.y.dtype == np.float32
    assert (data.task, data.classes) == ("regression", None)


def test_integer_labels_keep_their_names(write):
    data = load_csv(write("a,y\n1,7\n2,-3\n3,7\n4,-3\n"))
    assert data.classes == (-3, 7)
    assert data.y.tolist() == [1, 0, 1, 0]


AUTO, CLASSES, NUMBERS = "auto", "classification", "regression"
TASKS = [
    ([0, 1], AUTO, CLASSES),
    ([1, 2, 1, 2], AUTO, CLASSES),
    ([1.0, 2.0, 1.0, 2.0], AUTO, CLASSES),
    ([1, 2, 3, 4], AUTO, NUMBERS),
    ([1.5, 2.5, 1.5, 2.5], AUTO, NUMBERS),
    (list(range(10)) * 2, AUTO, CLASSES),
    (list(range(1, 11)) * 2, AUTO, CLASSES),
    ([1, 2, 3] * 20 + [1] * 60, AUTO, CLASSES),
    ([-7, 12] * 3 + [12] * 90, AUTO, CLASSES),
    (list(range(18, 90)) * 10, AUTO, NUMBERS),
    ([1000 * i for i in range(40)] * 10, AUTO, NUMBERS),
    (list(range(20)) * 2, CLASSES, CLASSES),
    (list(range(20)) * 2, NUMBERS, NUMBERS),
    ([1, 2, 3, 4], CLASSES, CLASSES),
    ([1, 2, 1, 2], NUMBERS, NUMBERS),
]


def of_target(write, values):
    return write("a,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))


@pytest.mark.parametrize(("target", "task", "expected"), TASKS)
def test_few_whole_numbers_are_classes_unless_the_task_says_otherwise(
    write, target, task, expected
):
    data = load_csv(of_target(write, target), task=task)
    assert data.task == expected
    if expected == "regression":
        assert data.y.tolist() == [[value] for value in target]
    else:
        assert [data.classes[code] for code in data.y] == target


UNDECIDED = {
    "uniform counts": list(range(1, 21)) * 20,
    "codes from 0": list(range(100)) * 10,
    "falling counts": [0] * 200 + [1] * 100 + [2] * 30 + [3] * 7 + [4],
    "marks": [3, 4, 5, 6, 7, 8] * 30,
    "signs": [-1, 0, 1] * 30,
    "tens": [10, 20, 30] * 30,
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_whole_numbers_that_may_be_either_need_a_task(write, name):
    values = UNDECIDED[name]
    path = of_target(write, values)
    distinct, ends = len(set(values)), f"{min(values)} to {max(values)}"
    with pytest.raises(
        ValueError,
        match=f"'y': .*{distinct} different whole numbers from {ends} in {len(values)} "
        "samples; hint: .*classification or regression .*--task.*task=",
    ):
        load_csv(path)
    assert load_csv(path, task="regression").y.reshape(-1).tolist() == values
    assert len(load_csv(path, task="classification").classes) == distinct


@pytest.mark.parametrize(("value", "samples"), [("5", 3), ("2.5", 3), ("2.5", 1)])
def test_a_constant_target_is_refused(write, value, samples):
    match = rf"'y': .*got {value} for all {samples} .*; hint"
    for task in ("auto", "regression"):
        with pytest.raises(ValueError, match=match):
            load_csv(of_target(write, [value] * samples), task=task)


TAKEN = [
    (["a", "b", "a"], "auto", "2 classes, a, b"),
    ([0, 1, 0, 1], "auto", "2 classes, 0, 1; --task says otherwise"),
    ([1, 2, 3, 4], "auto", "numbers from 1 to 4 (regression); --task says"),
    ([1, 2, 3, 4], "regression", "numbers from 1 to 4 (regression)"),
    ([0.5, 2, 3], "auto", "numbers from 0.5 to 3 (regression)"),
    ([0, 1, 0, 1], "multilabel", "1 yes/no labels a sample"),
    (["a\x1b[2J", "b", "b"], "auto", r"2 classes, a\x1b[2J, b"),
]


def test_what_the_target_was_taken_for_is_said(write):
    for target, task, taken in TAKEN:
        found = load_csv(of_target(write, target), task=task).taken
        assert found.startswith(taken)
        assert found == taken or "--task" in taken


def test_chosen_columns_come_in_their_order_and_others_are_ignored(write):
    data = load_csv(write(FLOWERS), columns=("width", "length"))
    assert data.x.tolist() == [[2.5, 1], [4, 3], [6, 5]]
    assert data.feature_names == ("width", "length")
    assert (data.y, data.classes, data.task) == (None, None, None)
    data = load_csv(write(FLOWERS), target="kind", columns=["width"])
    assert data.x.tolist() == [[2.5], [4], [6]]
    assert data.y.tolist() == [1, 0, 1]
    data = load_csv(write("a,b\n1,2\n"), has_target=False)
    assert data.x.tolist() == [[1, 2]]
    assert data.y is None
    # Columns may be numbered, as pandas does.
    assert load_csv(write("0,1,2\n1,2,a\n3,4,b\n")).feature_names == ("0", "1")


BAD_TABLES = [
    # Python's strip takes \x1c away, its float does not.
    ("a,y\n\x1c.5,0\n", r"line 2, column 'a': expected a number, got the text"),
    ("", "expected a header.*empty line or file; hint"),
    ("\n\n", "expected a header.*empty line or file; hint"),
    ("a,b\n", "expected a line a sample below the header, got none; hint"),
    ("1.5,2\n3,4\n", "expected a header of column names, got the numbers 1.5, 2; hint"),
    ("a,a,b\n1,2,3\n", "different column names, got 'a' twice; hint.* 1 and 2"),
    (",a,b\n0,1,2\n", "a name for every column, got none for column 1; hint.*index"),
    ("a\n1\n", "at least one feature column.*got none; hint.*separated by"),
    ("a,b\n1,2\n\n1,2,3\n", "line 4: expected 2 columns.*got 3; hint"),
    ("a,b\n1,2\n1\n", "line 3: expected 2 columns.*got 1; hint"),
    ("a,b\n1,2\nred,3\n", "line 3, column 'a': expected a number.*'red'; hint.*drop"),
    ("a,b\n1_0,2\n3,4\n", "line 2, column 'a': expected a number.*'1_0'; hint"),
    ("a;b\n1,5;2\n3;4\n", "line 2, column 'a': .*'1,5'; hint: .* with a point"),
    ("a,c,b\n1,1,2\n1, ,2\n", "line 3, column 'c': .*missing value \\(''\\); hint"),
    ("a,b\n1,2\nNaN,2\n", "line 3, column 'a': .*missing value \\('nan'\\); hint"),
    ("a,b\n1,2\nn/a,2\n", "line 3, column 'a': .*missing value \\('n/a'\\); hint"),
    ("a,b\n1,2\n-inf,2\n", "line 3, column 'a': .*finite.*got -inf; hint"),
    ("a,b\n1,2\n1e39,2\n", "line 3, column 'a': .*range of float32, got 1e\\+39; hint"),
    ("a,b\n1,2\n1,\n", "target 'b', line 3: expected a value, got ''.*; hint"),
    ("a,b\n1,inf\n1,2\n", "target 'b', line 2: expected a value, got 'inf'.*; hint"),
    ("a,b\n1,1.5\n1,x2\n", "target 'b', line 3: expected a number.*'x2'; hint"),
    ("a,b\n1,1\n1,NA\n", "target 'b', line 3: expected a number.*'NA'; hint"),
    ("a,b\n1,x\n2,x\n", "target 'b': expected at least two classes, got only 'x'"),
    ('a,b\n1,"x\n2,y\n', "fault in its quoting.*; hint"),
    ("a,b\n1,2\n1,2\x00\n", "line 3: expected UTF-8 text, got a NUL byte; hint"),
    ("a,b\n1,2\n".encode("utf-16-le"), "line 1: .*NUL byte; hint: .*not UTF-16"),
    ("a,b\n1,2\n".encode("utf-16"), "got the byte 0xff \\(it is UTF-16\\); hint"),
    (b"a,b\n1,caf\xe9\n", "got the byte 0xe9 \\(it may be Latin-1.*; hint"),
    (
        "a,b\n" + "".join(f"1,name{i}\n" for i in range(30)),
        "at most 20 different labels, got 30 different texts in 30 samples; hint",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD_TABLES)
def test_a_bad_table_is_described_in_one_line(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_csv(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "knd"}, "unknown target 'knd'; did you mean 'kind'"),
        ({"columns": ["widht"]}, "unknown column 'widht'; did you mean 'width'"),
        ({"columns": []}, "at least one feature column.*got none; hint"),
        ({"columns": ["width", "width"]}, "each once.*got width, width; hint"),
        ({"columns": ["kind"], "target": "kind"}, "apart from the target.*kind; hint"),
        ({"target": "kind", "has_target": False}, "target: .*got 'kind'; hint"),
        ({"task": "classify"}, "unknown task 'classify'; did you mean"),
        ({"task": "regression"}, "line 2: expected a number.*'rose'; hint"),
    ],
)
def test_a_bad_choice_of_columns_or_task_is_named(write, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_csv(write(FLOWERS), **arguments)


def test_fractions_cannot_be_classes_and_a_path_must_be_a_file(write, tmp_path):
    with pytest.raises(ValueError, match=r"whole numbers or text.*got 1\.5; hint"):
        load_csv(of_target(write, [1.5, 2]), task="classification")
    with pytest.raises(FileNotFoundError, match=r"none.csv: .*, found none; hint"):
        load_csv(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="expected a file, got a folder; hint"):
        load_csv(tmp_path)
