"""Every command, on every standard output that there is."""

import json
import os
import subprocess
import sys
import warnings

import pytest

import xpnet as xn
from tests.cli.files import FEW, ROOT, flowers, xpnet
from tests.streams import STREAMS, text_of
from xpnet.cli import main
from xpnet.commands import compare, info

DEEP = ("--hidden", ",".join(["12"] * 8), "--activation", "sigmoid", "--dropout", "0")
GRID = ("--grid", "l2=0,0.1", "--folds", "2", "--epochs", "1", "--device", "cpu")
COMMANDS = {
    "train": ["train", "moons", *FEW],
    "regression": ["train", "line", *FEW],
    "labels": ["train", "{flowers}", *FEW],
    "ensemble": ["train", "moons", *FEW, "--ensemble", "2"],
    "doctor": ["doctor", "digits", *FEW, *DEEP],
    "search": ["search", "moons", *GRID],
    "predict": ["predict", "{model}", "{flowers}", "--probabilities"],
    "compare": ["compare", "cpu:1", "cpu:1,float64", "--data", "moons", "--steps", "3",
                "--no-crossover"],
    "info": ["info"],
    "gallery": ["gallery"],
    "help": ["doctor", "--help"],
    "bad input": ["train", "no-δ-file.csv"],
    "bad option": ["train", "--δ"],
}  # fmt: skip

STATUS = {"doctor": 1, "bad input": 2, "bad option": 2}  # 0 of the others


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    path, _, _ = flowers(folder / "flowers.csv")
    arguments = ["train", str(path), *FEW, "--save", str(folder / "m"), "--json"]
    assert main(arguments) == 0
    return {"folder": folder, "flowers": path, "model": folder / "m"}


# A command is run on all streams, or where it takes long on those that differ.
LONG = ("none", "full disk", "reader has gone", "ascii")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_alike_on_every_stream(command, names, monkeypatch, capsys):
    monkeypatch.setattr(compare, "SPEED_SECONDS", 0.0)
    arguments = [part.format(**names) for part in COMMANDS[command]]
    early = command in ("help", "bad input", "bad option")
    for kind, make in STREAMS.items():
        if kind not in LONG and command in ("doctor", "ensemble", "search"):
            continue
        out, err = make(), make()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                status = main(arguments)
            except SystemExit as end:
                status = end.code
            assert (sys.stdout, sys.stderr) == (out, err)
        full = kind == "full disk" and not early
        expected = 2 if full else STATUS.get(command, 0)
        # A doctor whose reader has gone before the end has not found anything yet.
        assert status == expected or (kind == "reader has gone" and status == 0), kind
        if kind in ("bare", "cp1252", "ascii", "ascii terminal"):
            said = text_of(out) + text_of(err)
            assert said
            assert "Traceback" not in said
            if kind.startswith("ascii"):
                assert "\\u" not in said


def test_a_full_disk_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", STREAMS["full disk"]())
    assert main(["info"]) == 2
    assert capsys.readouterr().err == (
        "xpnet: error: standard output cannot be written: No space left on device\n"
    )


@pytest.mark.parametrize("kind", ["reader has gone", "full disk"])
def test_a_model_is_kept_where_its_report_cannot_be_printed(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "stdout", STREAMS[kind]())
    status = main(["train", "moons", *FEW, "--save", str(tmp_path / "m")])
    assert status == (2 if kind == "full disk" else 0)
    assert xn.Trainer.load(tmp_path / "m", "cpu").epochs_done == 2


def test_streams_closed_by_the_shell(tmp_path):
    """Their numbers are free: no file that is opened may get one."""
    code = (
        "import sys; from xpnet.cli import main; "
        "status = main(['train', 'moons', '--epochs', '1', '--save', 'm']); "
        "sys.exit(status or open('x', 'w').fileno())"
    )
    line = f'"{sys.executable}" -c "{code}" 0<&- >&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode > 2
    assert xn.Trainer.load(tmp_path / "m", "cpu").epochs_done == 1


def test_warnings_are_one_line(monkeypatch, capsys):
    def run(options):
        warnings.warn("two\nlines \x1b[2J", stacklevel=1)
        return 0

    monkeypatch.setattr(info, "run", run)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, out, err = xpnet(capsys, "info")
    assert (status, out) == (0, "")
    assert err == "xpnet: warning: two lines \\x1b[2J\n"


def test_json_is_ascii_and_whole(names, monkeypatch):
    stream = STREAMS["ascii"]()
    monkeypatch.setattr(sys, "stdout", stream)
    main(["predict", str(names["model"]), str(names["flowers"]), "--json"])
    rows = json.loads(text_of(stream))["predictions"]
    assert {row["prediction"] for row in rows} <= {"setosa", "iris, blue", "élan"}
