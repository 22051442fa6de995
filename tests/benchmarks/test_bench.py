"""`xpnet bench`: what it writes, and what it refuses."""

import json
import sys

import pytest

from tests.benchmarks.records import record
from tests.cli.files import xpnet
from xpnet.benchmarks.page import page
from xpnet.benchmarks.record import Timing, read
from xpnet.cli import _parser
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


def test_a_record_is_printed_and_made_a_page(file, tmp_path, capsys):
    drawn = tmp_path / "p.html"
    assert xpnet(capsys, "bench", "--from", file, "--html", drawn) == (0, "", "")
    assert drawn.read_text(encoding="utf-8") == page(record())
    status, out, _ = xpnet(capsys, "bench", "--from", file)
    assert status == 0
    assert "PyTorch, eager" in out
    assert "not installed: No module named 'jax'" in out


BAD = {
    "--rivals": [("torhc", "torch"), ("", "--rivals")],
    "--optimizers": [("adm", "adam")],
    "--parts": [("colt", "cold"), ("breakdown", "accuracy, cold, race, sweep")],
    "--nets": [("5", "from 0 to 4"), ("-1", "--nets"), ("a", "--nets")],
    "--threads": [("0", "--threads")],
    "--rounds": [("0", "--rounds"), ("x", "--rounds")],
    "--seconds": [("0", "--seconds"), ("nan", "--seconds")],
    "--warm-up": [("-1", "--warm-up")],
    "--json": [("/", "--json")],
    "--html": [("no/such/folder/page.html", "--html")],
    "--from": [("no-such-file.json", "no-such-file.json")],
}


def refused(capsys, *arguments):
    """The one line that it is refused with."""
    status, out, err = xpnet(capsys, "bench", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("option", BAD)
def test_bad_input_is_one_line_before_any_work(no_work, capsys, option):
    for value, words in BAD[option]:
        assert words in refused(capsys, option, value)


def test_a_file_that_is_no_record_is_one_line(file, tmp_path, capsys):
    lacking = []
    for key in ("rivals", "sizes", "threads"):
        broken = record()
        del broken["results"][0][key]
        lacking.append(json.dumps(broken))
    others = ["", "{", "[]", "{}", '{"format": 1}', "\x00", '{"format": 99}']
    for text in (*lacking, *others):
        file.write_text(text, encoding="utf-8")
        for extra in ((), ("--html", tmp_path / "p.html")):
            assert str(file) in refused(capsys, "--from", file, *extra)
    assert not (tmp_path / "p.html").exists()


def test_what_does_not_go_together_is_refused_before_any_work(
    no_work, monkeypatch, file, tmp_path, capsys
):
    assert "--full" in refused(capsys, "--from", file, "--full")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    err = refused(capsys, "--html", tmp_path / "p.html")
    assert err == (
        "xpnet: error: plots need matplotlib: pip install 'matplotlib>=3.9'\n"
    )
    assert list(tmp_path.iterdir()) == [file]


def planned(*options):
    return bench._plan(_parser().parse_args(["bench", *options]))


def test_rounds_and_rivals_that_are_asked_for_hold_for_every_part():
    asked = ("--full", "--rounds", "2", "--rivals", "jax", "--warm-up", "0.5")
    plan = planned(*asked)
    assert plan.rounds == {"cold": 2, "accuracy": 2}
    assert plan.sweep == Timing(0.5, 2, 0.1)
    assert plan.race == Timing(0.5, 2, 0.3)
    assert plan.swept == plan.rivals == ("xpnet", "products", "numpy", "jax")
    full = planned("--full")
    assert full.rounds == {"cold": 7, "accuracy": 9}
    assert (full.sweep.rounds, full.race.rounds) == (3, 9)
    assert "jax" not in full.swept
    assert full.parts == bench.PARTS
    assert full.nets == (0, 1, 2, 3, 4)
    assert full.optimizers == ("sgd", "adam")
    assert "torch_compiled" in full.rivals
    # The quick race: importing and the checked steps come on top.
    assert planned().estimate < 80
