"""What every command does: help, bad input, Ctrl-C, pipes."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

import pytest

import xpnet as xn
from tests.cli.files import QUICK, ROOT, command, flowers, run, write_csv, xpnet
from xpnet.common import cache, machine

pytestmark = pytest.mark.usefixtures("one_blas_thread")


def python(code):
    """Standard output of `code` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("arguments", [[], ["train"], ["predict"], ["info"]], ids=str)
def test_help_is_there(arguments, capsys):
    status, out, err = xpnet(capsys, *arguments, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: xpnet")


def test_help_needs_no_numpy():
    code = (
        "import sys; from xpnet.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit as end: print(end.code, 'numpy' in sys.modules)"
    )
    assert python(code).splitlines()[-1] == "0 False"


def test_importing_xpnet_leaves_the_rest_for_when_it_is_used():
    optional = ["matplotlib", "tqdm", "safetensors", "threadpoolctl", "cupy", "ziglang"]
    code = (
        "import sys, xpnet as xn\n"
        "first = 'numpy' in sys.modules\n"
        "xn.Trainer, xn.Dense, xn.Adam, xn.datasets, xn.get_backend\n"
        f"print(first, [m for m in {optional} if m in sys.modules])"
    )
    assert python(code).strip() == "False []"


def test_the_module_is_the_command():
    status, out, err = run("train", "xor", "--epochs", 1, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["data"] == "xor"


BAD = {
    "unknown data": (["digit"], "did you mean 'digits'"),
    "no file": (["none.csv"], "none.csv: expected a file, found none"),
    "activation": (["digits", "--activation", "rleu"], "did you mean 'relu'"),
    "optimizer": (["digits", "--optimizer", "adma"], "did you mean 'adam'"),
    "device": (["digits", "--device", "gpu"], "unknown device 'gpu'"),
    "device number": (["digits", "--device", "cuda:99"], "device='cuda:99'"),
    "hidden": (["digits", "--hidden", "a,b"], "--hidden: expected widths"),
    "no width": (["digits", "--hidden", "10,0"], "expected units >= 1"),
    "no epochs": (["digits", "--epochs", "0"], "--epochs: expected at least 1"),
    "batch": (["digits", "--batch-size", "0"], "--batch-size: expected at least 1"),
    "patience": (["digits", "--patience", "0"], "--patience: expected at least 1"),
    "dropout": (["digits", "--dropout", "1"], r"Dropout: expected .*got 1"),
    "rate 0": (["digits", "--learning-rate", "0"], r"rate.*> 0\b.*got 0"),
    "rate -1": (["digits", "--learning-rate", "-1"], r"rate.*> 0\b.*got -1"),
    "rate nan": (
        ["digits", "--learning-rate", "nan"],
        r"rate.*> 0\b.*got nan",
    ),
    "l2": (["digits", "--l2", "-1"], r"l2 >= 0\b.*got -1"),
    "validation": (["digits", "--validation", "1"], "--validation: expected a share"),
    "test": (["digits", "--test", "-0.1"], "--test: expected a share"),
    "shares": (["digits", "--validation", "0.5", "--test", "0.5"], "left to train on"),
    "seed": (["digits", "--seed", "-1"], "seed: expected"),
    "target": (["digits", "--target", "y"], "digits has no named columns"),
    "task": (["digits", "--task", "regression", "--target", "3"], "target"),
    "save": (["digits", "--save", "{file}"], "--save: expected a directory"),
    "save below": (["digits", "--save", "{file}/m"], "--save"),
    "plot": (["digits", "--plot", "{folder}/no/x.png"], "--plot: there is no folder"),
    "plot kind": (["digits", "--plot", "{folder}/x.xyz"], "--plot"),
    "ragged": (["{folder}/ragged.csv"], "line 3: expected 2 columns"),
    "one class": (["{folder}/one.csv"], "at least two classes"),
    "no archive": (["{folder}/bad.npz"], "damaged file"),
    "diverges": (["line", "--learning-rate", "1e30", "--epochs", "50"], "diverged at"),
    "not a number": (["digits", "--epochs", "ten"], "--epochs"),
    "task name": (["digits", "--task", "cluster"], "--task"),
    "no memory": (["digits", "--hidden", "9999999999"], "would take .* more than"),
    "ensemble": (["digits", "--ensemble", "999999999"], "would take .* more than"),
    "nothing": ([""], "data: expected a path or a data set, got ''"),
    "no option": (["digits", "--epoch-size", "3"], "--epoch-size"),
    "no data": ([], "DATA"),
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


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--plot", "--save"])
@pytest.mark.parametrize("command", ["train", "doctor"])
def test_where_nothing_can_be_written_is_said_before_training(
    flag, command, tmp_path, capsys, monkeypatch
):
    if flag == "--plot":
        pytest.importorskip("matplotlib")
    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)  # as root, modes do not
    place = str(tmp_path / "x.png" if flag == "--plot" else tmp_path)
    status, out, err = xpnet(capsys, command, "digits", flag, place)
    assert (status, out) == (2, "")
    assert err == (
        f"xpnet: error: {flag}: {tmp_path} cannot be written (Read-only file system); "
        "name another place\n"
    )


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_ends_with_one_line_and_status_2(bad, folder, capsys):
    arguments, message = BAD[bad]
    names = {"folder": folder, "file": folder / "file"}
    arguments = [part.format(**names) for part in arguments]
    if bad.startswith("plot"):
        pytest.importorskip("matplotlib")
    quick = [] if "--epochs" in arguments or not arguments else ["--epochs", "2"]
    status, out, err = xpnet(capsys, "train", *arguments, *quick)
    assert status == 2
    assert err.startswith("xpnet: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.search(message, err)
    assert "Traceback" not in err
    assert "accuracy:" not in out
    if bad != "diverges":
        assert out == ""


@pytest.mark.parametrize("arguments", [[], ["tran"]], ids=str)
def test_a_missing_or_unknown_command_ends_with_one_line(arguments, capsys):
    status, out, err = xpnet(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("xpnet: error: ")
    assert err.count("\n") == 1


def test_bad_input_shows_no_traceback_in_a_process_either():
    status, out, err = run("train", "digit")
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


def test_ctrl_c_ends_training_with_a_report(tmp_path):
    status, out, err = interrupted("--save", tmp_path / "m")
    assert (status, err) == (130, "")
    assert "stopped: interrupted in epoch" in out
    assert "test accuracy: " in out
    assert "rows: the label" in out
    trainer = xn.Trainer.load(tmp_path / "m", "cpu")
    assert trainer.epochs_done > 2


@pytest.mark.slow
def test_ctrl_c_does_not_lose_the_plot(tmp_path):
    pytest.importorskip("matplotlib")
    status, out, err = interrupted("--plot", tmp_path / "x.png")
    assert (status, err) == (130, "")
    assert "test accuracy: " in out
    assert (tmp_path / "x.png").is_file()


def test_a_reader_that_leaves_early_is_no_error():
    process = command("train", "digits", "--epochs", 400)
    assert process.stdout.readline().startswith("digits: ")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def test_predictions_may_be_read_in_part(tmp_path, capsys):
    assert xpnet(capsys, "train", "digits", *QUICK, "--save", tmp_path / "m")[0] == 0
    process = command("predict", tmp_path / "m", "digits")
    assert process.stdout.readline() == "prediction,probability\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


@pytest.fixture
def clean(monkeypatch):
    for name in machine.SLOWING:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_info_names_device_blas_and_versions(clean, capsys):
    status, out, err = xpnet(capsys, "info")
    assert (status, err) == (0, "")
    record = json.loads(xpnet(capsys, "info", "--json")[1])
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
    assert f"warning     {name}=PRESCOTT overrides" in xpnet(capsys, "info")[1]
    (warning,) = json.loads(xpnet(capsys, "info", "--json")[1])["warnings"]
    assert warning.endswith(f"`unset {name}`")
    clean.setenv(name, "")
    assert "warning" not in xpnet(capsys, "info")[1]
    assert name in machine.SLOWING
    assert os.environ[name] == ""


def test_the_table_of_bad_input_starts_from_good_input(folder, capsys):
    path, _, _ = flowers(folder / "flowers.csv")
    for data in ("digits", "line", path):
        assert xpnet(capsys, "train", data, "--epochs", 1)[0] == 0


def test_the_cache_is_shown_and_cleared(cache_folder, capsys):
    cache.keep("0" * 32 + ".program", b"1" * 934)
    cache.keep("crossover.json", b"{}")
    (cache_folder / "mine").touch()
    status, out, err = xpnet(capsys, "cache")
    assert (status, err) == (0, "")
    assert f"folder      {cache_folder}\nprograms    1 file, 1.0 kB\n" in out
    assert "together    2 files, 1.1 kB of at most 256.0 MB" in out
    status, out, err = xpnet(capsys, "cache", "--clear", "--json")
    found = json.loads(out)
    assert found["removed"] == {"files": 1, "bytes": 1000}
    assert found["total"]["files"] == found["kinds"]["measured"]["files"] == 1
    assert {path.name for path in cache_folder.iterdir()} == {"crossover.json", "mine"}
