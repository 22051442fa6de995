"""`xpnet train --checkpoint DIR`: stopped, and gone on with `--resume`."""

import json
import signal
import subprocess
import sys

import pytest

from tests.cli.files import refused, xpnet
from tests.ways import curves
from xpnet.training.callbacks import EarlyStopping

TRAIN = ["train", "moons", "--epochs", "12", "--hidden", "8", "--json", "--seed", "3"]
# The same command with a signal at the end of the third epoch.
STOPPED = """
import signal, sys
from xpnet.cli import main
from xpnet.training import EarlyStopping
real = EarlyStopping.on_epoch_end

def on_epoch_end(self, trainer, row):
    real(self, trainer, row)
    if trainer.epochs_done == 3:
        signal.raise_signal(getattr(signal, sys.argv[1]))

EarlyStopping.on_epoch_end = on_epoch_end
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_stopped_command_goes_on_and_says_what_it_would_have_said(
    name, tmp_path, capsys
):
    keep = ["--checkpoint", str(tmp_path / "run"), "--resume", "--device", "cpu"]
    command = [sys.executable, "-c", STOPPED, name, *TRAIN, *keep]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    number = getattr(signal, name)
    assert process.returncode == (130 if name == "SIGINT" else -number)
    straight = json.loads(xpnet(capsys, *TRAIN, "--device", "cpu")[1])
    for _ in ("going on", "finished already"):
        record = json.loads(xpnet(capsys, *TRAIN, *keep)[1])
        assert curves(record.pop("history")) == curves(straight["history"])
        assert record == {k: v for k, v in straight.items() if k != "history"}


WRONG = {
    "no folder": (["--resume"], "--resume: expected --checkpoint DIR"),
    "ensemble": (["--checkpoint", "{new}", "--ensemble", "2"], "expected one network"),
    "file": (["--checkpoint", "{file}"], "--checkpoint: expected a directory"),
    "foreign": (["--checkpoint", "{full}"], "holds 'mine' and no checkpoint of xpnet"),
    "foreign save": (["--save", "{full}"], "holds 'mine' and no saved model of xpnet"),
    "there": (["--checkpoint", "{run}"], "add --resume to go on with it"),
    "other": (["--checkpoint", "{run}", "--resume", "--seed", "4"], "seed is 4, was 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_followed_is_one_line(case, tmp_path, capsys):
    places = {name: tmp_path / name for name in ("new", "file", "full", "run")}
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    if "run" in "".join(WRONG[case][0]):
        xpnet(capsys, *TRAIN, "--checkpoint", places["run"])
    flags, message = WRONG[case]
    flags = [flag.format(**places) for flag in flags]
    assert message in refused(capsys, *TRAIN, *flags)


def test_it_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def press(self, trainer, row):
        signal.raise_signal(signal.SIGINT)

    around = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(EarlyStopping, "on_epoch_end", press)
    arguments = [a for a in TRAIN if a != "--json"]
    status, out, _ = xpnet(capsys, *arguments, "--checkpoint", tmp_path / "run")
    signal.signal(signal.SIGINT, around)
    assert status == 130
    assert "the same command with --resume" in out
