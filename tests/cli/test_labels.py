"""Labels and columns of a file do nothing to a terminal or a spreadsheet."""

import csv
import io
import shlex

import numpy as np
import pytest

from tests.cli.files import FEW, answered, printed, refused, write_csv, xpnet
from xpnet.cli import main

LABELS = {  # a label, and how `predict` prints it
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    '=cmd|"/c calc"!A1': '\'=cmd|"/c calc"!A1',
    "@SUM(1)": "'@SUM(1)",
    "+a": "'+a",
    "-a,b": "'-a,b",
    "+": "+",
    "-": "-",
    "+1e5x": "'+1e5x",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "a\u202eb": "a\\u202eb",
    "x\u2028=1": "x\\u2028=1",
    "plain": "plain",
    'say "a"': 'say "a"',
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    names = list(LABELS)
    kinds = np.arange(260) % len(names)
    x = np.eye(len(names))[kinds]
    rows = [[*map(float, row), names[k]] for row, k in zip(x, kinds, strict=True)]
    header = [*(f"c{i}" for i in range(len(names) - 1)), "=c\x1b[2J", "kind"]
    path = write_csv(folder / "t.csv", header, rows)
    quick = ("--epochs", "30", "--hidden", "none", "--learning-rate", "0.1")
    where = ("--device", "cpu", "--json", "--save", str(folder / "m"))
    assert main(["train", str(path), *quick, *where]) == 0
    return folder / "m", path, [names[k] for k in kinds]


def test_predictions_are_safe_and_json_is_exact(model, capsys):
    folder, path, names = model
    out = printed(capsys, "predict", folder, path, "--probabilities")
    assert out.replace("\n", "").isprintable()
    rows = list(csv.reader(io.StringIO(out)))
    # Within a header only control characters are changed.
    within = {
        name: shown.removeprefix("'") if name[:1] in "=+-@" else shown
        for name, shown in LABELS.items()
    }
    assert rows[0][2:] == [f"probability_{within[name]}" for name in sorted(LABELS)]
    assert {row[0] for row in rows[1:]} == set(LABELS.values())
    assert [row[0] for row in rows[1:]] == [LABELS[name] for name in names]
    record = answered(capsys, "predict", folder, path)
    assert [row["prediction"] for row in record["predictions"]] == names


def test_a_report_is_safe(model, capsys):
    _, path, _ = model
    for command, *more in (("train",), ("doctor",), ("train", "--ensemble", 2)):
        _, out, err = xpnet(capsys, command, path, *FEW, *more)
        assert (out + err).replace("\n", "").isprintable()
        assert "\\x1b]0;title\\x07" in out


def test_a_missing_column_is_named_safely(model, capsys, tmp_path):
    folder, _, _ = model
    path = write_csv(tmp_path / "p.csv", [f"c{i}" for i in range(12)], [[1] * 12])
    expected = r"trained on column '=c\x1b[2J', which is missing"
    assert expected in refused(capsys, "predict", folder, path)
    empty = write_csv(tmp_path / "q.csv", ["c0", "other"], [[1, 2]])
    expected = "trained on columns 'c1', 'c2', 'c3', 'c4', 'c5', ..., which are mis"
    assert expected in refused(capsys, "predict", folder, empty)


def test_names_of_files_and_arguments_are_safe(capsys, tmp_path):
    path = tmp_path / "a\x1b[2J.csv"
    path.write_text("a,b\n1,x\n2,y\n" * 1 + "1,x\n2,y\n" * 20)
    for arguments in (
        ("train", path, *FEW),
        ("train", "no\x1b[2J", *FEW),
        ("train", "digits", "--no\x1b[2J"),
        ("predict", "no\x1b[2J", "digits"),
        ("no\x1b[2J",),
    ):
        _, out, err = xpnet(capsys, *arguments)
        assert (out + err).replace("\n", "").isprintable()


HINTS = {
    "train digits --lr 0.1": "'--lr'; did you mean --learning-rate?",
    "train --lr=0.1 digits": "'--lr'; did you mean --learning-rate?",
    "train digits --epoch 3": "'--epoch'; did you mean --epochs?",
    "train digits --batch 3": "'--batch'; did you mean --batch-size?",
    "train digits --layers 3": "'--layers'; did you mean --hidden?",
    "doctor digits --leaning-rate 1": "did you mean --learning-rate?",
    "predict m digits --proba": "did you mean --probabilities?",
    "search digits --grid l2=0 --fold 3": "did you mean --folds?",
    "train digits --zzz": "unknown option '--zzz'; see",
    "train digits moons": "expected no more arguments, got 'moons'",
    "info -x": "unknown option '-x'; see",
}


@pytest.mark.parametrize("line", HINTS)
def test_an_unknown_option_gets_a_hint(line, capsys):
    assert HINTS[line] in refused(capsys, *line.split())


def test_the_closing_hint_can_be_pasted(capsys, tmp_path):
    rows = [[i % 7, i % 2, float(i)] for i in range(60)]
    path = write_csv(tmp_path / "my data.csv", ["a", "kind", "b"], rows)
    options = ("--target", "kind", "--scale", "minmax", *FEW, "--seed", "3")
    for more in ((), ("--ensemble", 2)):
        out = printed(capsys, "train", path, *options, *more)
        line = next(x for x in out.splitlines() if x.startswith("  xpnet train"))
        arguments = shlex.split(line)[1:]
        arguments[-1] = str(tmp_path / f"m{len(more)}")
        out = printed(capsys, *arguments)
        assert f"xpnet predict {arguments[-1]} FILE" in out
        assert arguments[:-2] == [str(a) for a in ("train", path, *options, *more)]
        printed(capsys, "predict", arguments[-1], path)
    options = ("--learning-rate", "1e-9", *FEW, "--seed", "1")
    out = printed(capsys, "train", "digits", *options)
    assert f"  xpnet doctor digits {' '.join(options)}\n" in out
