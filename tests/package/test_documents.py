"""README and scripts: what they show runs as it stands."""

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path

import pytest

from xpnet.cli import _parser
from xpnet.lessons.table import LESSONS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = sorted(
    path
    for path in (ROOT / "lessons").glob("*.py")
    if path.stem not in {"__init__", "table", *LESSONS}  # tests/lessons runs those
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    assert len(blocks("python")) == 5
    assert (tmp_path / "my-model" / "model.json").is_file()
    xt, yt = names["xt"], names["yt"]
    first = names["xn"].Trainer.load("my-model", "cpu")
    assert first.evaluate(xt, yt)["accuracy"] > 0.9
    assert "val_loss" in printed.getvalue()
    # The second block's trainer has an activation of one's own.
    names["trainer"].fit(names["x"], names["y"], epochs=5)
    assert names["trainer"].evaluate(xt, yt)["accuracy"] > 0.8


def commands():
    """Every use of the command in the README's shell blocks and inline code."""
    text = "\n".join([*blocks("bash"), *re.findall(r"`([^`\n]+)`", README)])
    names = "train|search|doctor|predict|bench|compare|gpu-check|gallery|info"
    return re.findall(rf"(?:^|[\s/&])xpnet ((?:{names})\b[^\n&|]*)", text)


def test_the_commands_and_files_of_the_readme_are_there():
    found = commands()
    assert "train digits" in found
    assert {line.split()[0] for line in found} == {
        *("train", "search", "doctor", "predict", "bench", "compare"),
        *("gpu-check", "gallery", "info"),
    }
    for line in found:
        _parser().parse_args(shlex.split(line))
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(linked) > 8
    for name in linked:
        assert (ROOT / name).exists(), name
    assert SCRIPTS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert capsys.readouterr().out == ""  # importing it alone does nothing
    module.main()
    assert capsys.readouterr().out.strip()
    assert module.__doc__
    assert f"python lessons/{path.name}" in module.__doc__
