"""What a lesson takes down, and what it refuses."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import xpnet
from tests.lessons.mnist import write_mnist
from xpnet.lessons.support import COLORS, FIELDS, Lesson, prepare, run
from xpnet.lessons.support.pictures import MARKERS, STYLES, line_style
from xpnet.lessons.table import LESSONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def out(tmp_path):
    return Lesson("mine", tmp_path)


def test_a_number_is_kept_as_json_has_it(out, capsys):
    for name, value, kept in (
        ("whole", 1, 1),
        ("float32", np.float32(0.5), 0.5),
        ("array", np.arange(3), [0, 1, 2]),
        ("nan", math.nan, None),
        ("infinite", np.array([1.0, math.inf]), [1.0, None]),
        ("within", {"a": (np.int64(1), -math.inf)}, {"a": [1, None]}),
        ("text", "text", "text"),
        ("flag", True, True),
    ):
        out.number(name, value)
        assert out.numbers[name] == kept
        record = json.loads(json.dumps(out.record(), allow_nan=False))
        assert record["numbers"][name] == kept
        assert name in capsys.readouterr().out
    with pytest.raises(ValueError, match="'text' is there already"):
        out.number("text", 2)


def test_a_lesson_holds_if_it_checked_and_all_held(out):
    assert not out.held
    out.check("one is one", np.bool_(True))
    assert out.held
    out.check("one is two", np.bool_(False))
    assert not out.held
    assert [check["held"] for check in out.checks] == [True, False]


def test_a_figure_without_labels_is_refused(out, tmp_path):
    bare = pytest.raises(ValueError, match=r"panels \[0\] have axes without labels")
    with bare, out.figure("bare") as axes:
        axes.plot([1, 2])
    assert list(tmp_path.iterdir()) == out.figures == []


@pytest.mark.slow
def test_a_figure_gives_its_panels(out, tmp_path):
    with out.figure("two", rows=1, columns=2, bowls=(1,)) as (flat, deep):
        flat.set(xlabel="x", ylabel="y")
        deep.set(xlabel="x", ylabel="y", zlabel="z")
    with out.figure("image") as axes:
        axes.set_axis_off()
    assert out.figures == ["mine-two.png", "mine-image.png"]
    assert {path.name for path in tmp_path.iterdir()} == set(out.figures)


def test_a_claim_that_does_not_hold_is_exit_status_1(tmp_path, capsys):
    def wrong(out):
        out.check("2 < 1", 2 < 1)

    def right(out):
        out.check("1 < 2", 1 < 2)

    ready = prepare(tmp_path, tmp_path / "numbers.json")
    assert run({"right": right}, ready) == 0
    assert run({"right": right, "wrong": wrong}, ready) == 1
    printed = capsys.readouterr().out
    assert "FAILS    2 < 1" in printed
    assert "1 of 2 lessons hold; not wrong" in printed
    records = json.loads(ready.json_file.read_text())
    assert [r["held"] for r in records.values()] == [True, False]


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match=r"--out: expected a directory, got the file"):
        prepare(file)
    with pytest.raises(ValueError, match="--json: expected a file"):
        prepare(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="--json: there is no folder"):
        prepare(tmp_path, tmp_path / "none" / "numbers.json")
    with pytest.raises(ValueError, match="--data: there is no folder"):
        prepare(tmp_path, data=tmp_path / "none")
    assert list(tmp_path.iterdir()) == [file]


def test_the_data_may_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("XPNET_MNIST", raising=False)
    assert prepare(tmp_path).data is None
    monkeypatch.setenv("XPNET_MNIST", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="missing train-images"):
        prepare(tmp_path)
    write_mnist(tmp_path)
    assert prepare(tmp_path).data == tmp_path


def test_the_command_lists_lessons_and_refuses_before_any_work(tmp_path, capsys):
    status, out, err = xpnet(capsys, "gallery", "lines")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "unknown lesson 'lines'; did you mean 'line'?" in err
    assert all(name in err for name in (*LESSONS, "all"))
    status, out, err = xpnet(capsys, "gallery")
    assert (status, err) == (0, "")
    for name in LESSONS:
        assert f"\n{name} " in f"\n{out}"
    (tmp_path / "file").touch()
    deeper = tmp_path / "file" / "deeper"
    status, out, err = xpnet(capsys, "gallery", "line", "--out", deeper)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--out" in err


@pytest.mark.slow
@pytest.mark.parametrize("where", ["command", "script"])
def test_without_matplotlib_the_install_line_comes_first(where, tmp_path):
    code = {
        "command": "from xpnet.cli import main; sys.exit(main(['gallery', 'line']))",
        "script": "sys.argv = ['line.py']; import runpy; "
        f"runpy.run_path({str(ROOT / 'lessons' / 'line.py')!r}, run_name='__main__')",
    }[where]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['matplotlib'] = None; {code}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'matplotlib" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_two_curves_share_colour_and_dashes():
    looks = [tuple(map(str, line_style(i).values())) for i in range(40)]
    assert len(set(looks)) == 40
    assert len(COLORS) == len(STYLES) == len(MARKERS)


def test_a_field_is_0_at_its_minimum_and_its_slope_is_right():
    lowest = {"Beale": (3.0, 0.5), "saddle": (0.0, 2**0.5), "valley": (0.0, 0.0)}
    assert set(FIELDS) == set(lowest)
    for name, field in FIELDS.items():
        assert abs(field(np.array(lowest[name]))) < 1e-12
        assert np.abs(field.slope(np.array(lowest[name]))).max() < 1e-12
        at, h = np.array(field.start), 1e-6
        apart = [field(at + h * e) - field(at - h * e) for e in np.eye(2)]
        np.testing.assert_allclose(
            field.slope(at) * 2 * h, apart, rtol=1e-6, atol=1e-12
        )
