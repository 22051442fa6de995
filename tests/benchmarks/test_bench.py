"""`xpnet bench`: what it writes, and what it refuses."""

import json
import sys

import pytest

from tests.benchmarks.records import record
from tests.cli.files import xpnet
from xpnet.benchmarks.page import page
from xpnet.benchmarks.record import Timing, read
from xpnet.commands import bench

SHORT = ("--threads", "1", "--rounds", "2", "--seconds", "1e-4", "--warm-up", "0")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record()), encoding="utf-8")
    return path


@pytest.fixture
def no_work(monkeypatch):
    def started(*_):
        raise AssertionError("work was begun")

    monkeypatch.setattr(bench, "new_record", started)


def test_a_short_race_is_printed_and_written(tmp_path, capsys):
    written, drawn = tmp_path / "r.json", tmp_path / "p.html"
    arguments = ("--nets", "0", "--rivals", "numpy", "--json", written, "--html", drawn)
    status, out, err = xpnet(capsys, "bench", *SHORT, *arguments)
    assert (status, err) == (0, "")
    assert "2-3-2, batch 4, Adam, 1 thread" in out
    found = read(written)
    assert drawn.read_text(encoding="utf-8") == page(found)
    assert str(tmp_path) not in written.read_text(encoding="utf-8")
    assert found["command"].startswith("xpnet bench --nets 0 --rivals numpy")
    rows = found["results"][0]["rivals"]
    # Ratios, the floor and the check of losses need these, whoever else is asked for.
    assert set(rows) == {"xpnet", "products", "numpy"}
    assert all(len(row["rounds_us"]) == 2 for row in rows.values())


def test_a_page_is_made_from_a_record(file, tmp_path, capsys):
    drawn = tmp_path / "p.html"
    assert xpnet(capsys, "bench", "--from", file, "--html", drawn) == (0, "", "")
    assert drawn.read_text(encoding="utf-8") == page(record())


def test_a_record_is_printed(file, capsys):
    status, out, _ = xpnet(capsys, "bench", "--from", file)
    assert status == 0
    assert "PyTorch, eager" in out
    assert "not installed: No module named 'jax'" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rivals", "torhc"), "torch"),
        (("--rivals", ""), "--rivals"),
        (("--optimizers", "adm"), "adam"),
        (("--parts", "colt"), "cold"),
        (("--parts", "breakdown"), "accuracy, cold, race, sweep"),
        (("--nets", "5"), "from 0 to 4"),
        (("--nets", "-1"), "--nets"),
        (("--nets", "a"), "--nets"),
        (("--threads", "0"), "--threads"),
        (("--rounds", "0"), "--rounds"),
        (("--rounds", "x"), "--rounds"),
        (("--seconds", "0"), "--seconds"),
        (("--seconds", "nan"), "--seconds"),
        (("--warm-up", "-1"), "--warm-up"),
        (("--json", "/"), "--json"),
        (("--html", "no/such/folder/page.html"), "--html"),
        (("--from", "no-such-file.json"), "no-such-file.json"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_before_any_work(no_work, capsys, arguments, words):
    status, out, err = xpnet(capsys, "bench", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": 1}', "\x00", '{"format": 99}'],
    ids=repr,
)
def test_a_file_that_is_no_record_is_one_line(file, capsys, text):
    file.write_text(text, encoding="utf-8")
    status, out, err = xpnet(capsys, "bench", "--from", file)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert str(file) in err


@pytest.mark.parametrize("key", ["rivals", "sizes", "threads"])
def test_a_record_that_lacks_something_is_one_line(file, tmp_path, capsys, key):
    broken = record()
    del broken["results"][0][key]
    file.write_text(json.dumps(broken), encoding="utf-8")
    for extra in ((), ("--html", tmp_path / "p.html")):
        status, _, err = xpnet(capsys, "bench", "--from", file, *extra)
        assert status == 2
        assert err.count("\n") == 1
        assert str(file) in err
    assert not (tmp_path / "p.html").exists()


def test_options_that_measure_do_not_go_with_a_record(file, capsys):
    status, _, err = xpnet(capsys, "bench", "--from", file, "--full")
    assert status == 2
    assert "--full" in err


def test_without_matplotlib_a_page_is_refused_before_any_work(
    no_work, monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    drawn = tmp_path / "p.html"
    status, out, err = xpnet(capsys, "bench", "--html", drawn)
    assert (status, out) == (2, "")
    assert err == (
        "xpnet: error: plots need matplotlib: pip install 'matplotlib>=3.9'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_rounds_and_rivals_that_are_asked_for_hold_for_every_part():
    from xpnet.cli import _parser

    asked = ["bench", "--full", "--rounds", "2", "--rivals", "jax", "--warm-up", "0.5"]
    plan = bench._plan(_parser().parse_args(asked))
    assert plan.rounds == {"cold": 2, "accuracy": 2}
    assert plan.sweep == Timing(0.5, 2, 0.1)
    assert plan.race == Timing(0.5, 2, 0.3)
    assert plan.swept == plan.rivals == ("xpnet", "products", "numpy", "jax")
    default = bench._plan(_parser().parse_args(["bench", "--full"]))
    assert default.rounds == {"cold": 7, "accuracy": 9}
    assert (default.sweep.rounds, default.race.rounds) == (3, 9)
    assert "jax" not in default.swept


def test_full_means_everything():
    from xpnet.cli import _parser

    plan = bench._plan(_parser().parse_args(["bench", "--full"]))
    assert plan.parts == bench.PARTS
    assert plan.nets == (0, 1, 2, 3, 4)
    assert plan.optimizers == ("sgd", "adam")
    assert "torch_compiled" in plan.rivals


def test_the_quick_race_warms_up_and_times_for_less_than_a_minute_and_a_half():
    from xpnet.cli import _parser

    plan = bench._plan(_parser().parse_args(["bench"]))
    assert plan.estimate < 80  # importing and the checked steps come on top
