"""What every command does: help, bad input, Ctrl-C, pipes."""

import errno
import re
import signal
import subprocess
import sys
import tempfile

import pytest

import xpnet as xn
from tests.cli.files import (
    QUICK,
    ROOT,
    answered,
    command,
    printed,
    refused,
    run,
    write_csv,
    xpnet,
)
from xpnet.common import cache, machine


def test_help_is_there(capsys):
    for arguments in ([], ["train"], ["predict"], ["info"]):
        assert printed(capsys, *arguments, "--help").startswith("usage: xpnet")


def test_help_needs_no_numpy_and_importing_xpnet_nothing_optional():
    optional = ["matplotlib", "tqdm", "safetensors", "threadpoolctl", "cupy", "ziglang"]
    code = (
        "import sys; from xpnet.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit as end: print(end.code, 'numpy' in sys.modules)\n"
        "import xpnet as xn\n"
        "print('numpy' in sys.modules)\n"
        "xn.Trainer, xn.Dense, xn.Adam, xn.datasets, xn.get_backend\n"
        f"print([m for m in {optional} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-3:] == ["0 False", "False", "[]"]


BAD = {
    "unknown data": (["digit"], "did you mean 'digits'"),
    "no file": (["none.csv"], "none.csv: expected a file, found none"),
    "save": (["digits", "--save", "{file}"], "--save: expected a directory"),
    "save below": (["digits", "--save", "{file}/m"], "--save"),
    "plot": (["digits", "--plot", "{folder}/no/x.png"], "--plot: there is no folder"),
    "plot kind": (["digits", "--plot", "{folder}/x.xyz"], "--plot"),
    "ragged": (["{folder}/ragged.csv"], "line 3: expected 2 columns"),
    "one class": (["{folder}/one.csv"], "at least two classes"),
    "no archive": (["{folder}/bad.npz"], "damaged file"),
    "shares": (["digits", "--validation", "0.5", "--test", "0.5"], "left to train on"),
    "task": (["digits", "--task", "regression", "--target", "3"], "target"),
    "nothing": ([""], "data: expected a path or a data set, got ''"),
    "no data": ([], "DATA"),
}
# option: the value and what is said of it, on the digits
BAD_VALUES = {
    "--activation": [("rleu", "did you mean 'relu'")],
    "--optimizer": [("adma", "did you mean 'adam'")],
    "--device": [("gpu", "unknown device 'gpu'"), ("cuda:99", "device='cuda:99'")],
    "--hidden": [
        ("a,b", "--hidden: expected widths"),
        ("10,0", "expected units >= 1"),
        ("9999999999", "would take .* more than"),
    ],
    "--epochs": [("0", "--epochs: expected at least 1"), ("ten", "--epochs")],
    "--batch-size": [("0", "--batch-size: expected at least 1")],
    "--patience": [("0", "--patience: expected at least 1")],
    "--dropout": [("1", "Dropout: expected .*got 1")],
    "--learning-rate": [(n, rf"rate.*> 0\b.*got {n}") for n in ("0", "-1", "nan")],
    "--l2": [("-1", r"l2 >= 0\b.*got -1")],
    "--validation": [("1", "--validation: expected a share")],
    "--test": [("-0.1", "--test: expected a share")],
    "--seed": [("-1", "seed: expected")],
    "--target": [("y", "digits has no named columns")],
    "--task": [("cluster", "--task")],
    "--ensemble": [("999999999", "would take .* more than")],
    "--epoch-size": [("3", "--epoch-size")],
}
BAD |= {
    f"{option} {value}": (["digits", option, value], message)
    for option, values in BAD_VALUES.items()
    for value, message in values
}


@pytest.fixture
def folder(tmp_path):
    write_csv(tmp_path / "one.csv", ["a", "kind"], [[i, "x"] for i in range(30)])
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "bad.npz").write_bytes(b"PK junk")
    (tmp_path / "file").write_text("")
    return tmp_path


def read_only(*args, **kwargs):
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("flag", ["--plot", "--save"])
def test_where_nothing_can_be_written_is_said_before_training(
    flag, tmp_path, capsys, monkeypatch
):
    if flag == "--plot":
        pytest.importorskip("matplotlib")
    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)  # as root, modes do not
    place = tmp_path / "x.png" if flag == "--plot" else tmp_path
    for name in ("train", "doctor"):
        assert refused(capsys, name, "digits", flag, place) == (
            f"xpnet: error: {flag}: {tmp_path} cannot be written (Read-only file "
            "system); name another place\n"
        )


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_ends_with_one_line_and_status_2(bad, folder, capsys):
    arguments, message = BAD[bad]
    names = {"folder": folder, "file": folder / "file"}
    arguments = [part.format(**names) for part in arguments]
    if bad.startswith("plot"):
        pytest.importorskip("matplotlib")
    quick = [] if "--epochs" in arguments or not arguments else ["--epochs", "2"]
    assert re.search(message, refused(capsys, "train", *arguments, *quick))


def test_a_training_that_diverges_ends_with_one_line_too(capsys):
    arguments = ("--learning-rate", "1e30", "--epochs", "50")
    status, out, err = xpnet(capsys, "train", "line", *arguments)
    assert status == 2
    assert re.fullmatch("xpnet: error: .*diverged at.*\n", err)
    assert "r2:" not in out


def test_a_missing_or_unknown_command_ends_with_one_line(capsys):
    for arguments in ([], ["tran"]):
        refused(capsys, *arguments)
    status, out, err = run("train", "digit")  # nor is a traceback in a process
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: digit: ")
    assert err.count("\n") == 1


def interrupted(*arguments):
    """(status, out, err) of a long training that gets a SIGINT after some epochs."""
    process = command("train", "digits", "--epochs", 100_000, *arguments)
    lines = [""]
    while not lines[-1].startswith("    3 "):
        lines.append(process.stdout.readline())
        assert lines[-1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, "".join(lines) + out, err


def test_ctrl_c_ends_training_with_a_report_a_model_and_a_plot(tmp_path):
    pytest.importorskip("matplotlib")
    kept = ("--save", tmp_path / "m", "--plot", tmp_path / "x.png")
    status, out, err = interrupted(*kept)
    assert (status, err) == (130, "")
    assert "stopped: interrupted in epoch" in out
    assert "test accuracy: " in out
    assert "rows: the label" in out
    trainer = xn.Trainer.load(tmp_path / "m", "cpu")
    assert trainer.epochs_done > 2
    assert (tmp_path / "x.png").is_file()


def left_after(first, *arguments):
    """A reader goes after the first line."""
    process = command(*arguments)
    assert process.stdout.readline().startswith(first)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def test_a_reader_that_leaves_early_is_no_error(tmp_path, capsys):
    left_after("digits: ", "train", "digits", "--epochs", 400)
    printed(capsys, "train", "digits", *QUICK, "--save", tmp_path / "m")
    left_after("prediction,probability\n", "predict", tmp_path / "m", "digits")


@pytest.fixture
def clean(monkeypatch):
    for name in machine.SLOWING:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_info_names_device_blas_and_versions(clean, capsys):
    out, record = printed(capsys, "info"), answered(capsys, "info")
    assert record["device"] == xn.get_backend("auto").device
    assert f"device      {record['device']}: {record['why']}" in out
    assert record["cores"] >= 1
    assert f"programs    {record['programs']}" in out
    assert record["programs"] == "NumPy calls, since XPNET_JIT=0"  # in all tests
    assert record["versions"]["numpy"] == __import__("numpy").__version__
    for package in ("ziglang", "threadpoolctl"):
        assert record["versions"].get(package, "") in out
    assert {"threadpoolctl", "safetensors"} <= set(record["versions"])
    assert record["warnings"] == []
    assert "warning" not in out
    assert record["blas"]
    for blas in record["blas"]:
        assert set(blas) == {"name", "version", "core", "threads"}
        assert f"{blas['name']} {blas['version']}, core type {blas['core']}" in out
    assert record["processor"] in out


@pytest.mark.parametrize("name", machine.SLOWING)
def test_info_warns_of_what_slows_the_blas(name, clean, capsys):
    clean.setenv(name, "PRESCOTT")
    assert f"warning     {name}=PRESCOTT overrides" in printed(capsys, "info")
    (warning,) = answered(capsys, "info")["warnings"]
    assert warning.endswith(f"`unset {name}`")
    clean.setenv(name, "")
    assert "warning" not in printed(capsys, "info")


def test_the_cache_is_shown_and_cleared(cache_folder, capsys):
    cache.keep("0" * 32 + ".program", b"1" * 934)
    cache.keep("crossover.json", b"{}")
    (cache_folder / "mine").touch()
    out = printed(capsys, "cache")
    assert f"folder      {cache_folder}\nprograms    1 file, 1.0 kB\n" in out
    assert "together    2 files, 1.1 kB of at most 256.0 MB" in out
    found = answered(capsys, "cache", "--clear")
    assert found["removed"] == {"files": 1, "bytes": 1000}
    assert found["total"]["files"] == found["kinds"]["measured"]["files"] == 1
    assert {path.name for path in cache_folder.iterdir()} == {"crossover.json", "mine"}
