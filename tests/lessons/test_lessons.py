"""Every lesson of the table runs, its claims hold, its pictures are pictures."""

import ast
import json
from pathlib import Path

import pytest

from tests.lessons.mnist import write_mnist
from xpnet.lessons.support import prepare, run, title_of
from xpnet.lessons.table import LESSONS, get_lesson

ROOT = Path(__file__).resolve().parents[2]
LINES = 80


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_runs_and_its_claims_hold(name, tmp_path, capsys):
    from matplotlib.image import imread

    ready = prepare(tmp_path, tmp_path / "numbers.json")
    status = run({name: get_lesson(name)}, ready, quick=True)
    printed = capsys.readouterr().out
    assert status == 0, printed
    record = json.loads(ready.json_file.read_text(encoding="utf-8"))[name]
    assert record["held"]
    assert min(map(len, (record["claims"], record["numbers"], record["checks"]))) > 0
    assert all(check["statement"] in printed for check in record["checks"])
    found = {path.name for path in tmp_path.glob("*.png")}
    assert found == set(record["figures"]) != set()
    for file in found:
        image = imread(tmp_path / file)[..., :3]
        assert min(image.shape[:2]) > 200
        assert (image < 0.9).any(axis=2).mean() > 0.01, f"{file} is blank"


@pytest.mark.slow
def test_the_digits_of_mnist_are_learnt_where_their_files_are(tmp_path, capsys):
    write_mnist(tmp_path)
    ready = prepare(tmp_path / "out", tmp_path / "numbers.json", tmp_path)
    assert run({"digits": get_lesson("digits")}, ready, quick=True) == 0
    printed = capsys.readouterr().out
    assert "784-15-10 has 11,935 parameters" in printed
    assert "% of 297 right, over 90%" in printed
    assert "MNIST not run" not in printed


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_short_and_says_what_it_teaches(name):
    path = ROOT / "lessons" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LINES
    docstring = ast.get_docstring(ast.parse(text))
    assert f"python lessons/{name}.py" in docstring
    assert len(docstring.splitlines()) > 4
    assert text.endswith('if __name__ == "__main__":\n    main(lesson)\n')
    assert get_lesson(name).__module__ == f"xpnet.lessons.{name}"


def test_every_file_with_a_lesson_is_in_the_table_and_in_the_readme():
    texts = {p.stem: p.read_text("utf-8") for p in (ROOT / "lessons").glob("*.py")}
    assert {n for n, text in texts.items() if "def lesson(" in text} == set(LESSONS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in LESSONS:
        assert f"| `{name}` | {title_of(get_lesson(name))} |" in readme
    above = {"xpnet.cli", *(f"xpnet.lessons.{name}" for name in texts)}
    for path in (ROOT / "lessons").rglob("*.py"):
        if path.stem != "table":  # a lesson needs no table and its support no lesson
            tree = ast.walk(ast.parse(path.read_text("utf-8")))
            needed = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
            assert not needed & above, path
            assert not any("xpnet.commands" in module for module in needed), path
