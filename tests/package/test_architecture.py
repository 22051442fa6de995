"""docs/architecture.md and docs/decisions/: files, rooms and figures are right."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from docs.import_graph import ROOMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PARTS = ["Context", "Decision", "Consequences", "Measured", "Alternatives"]
LINKED = [PAGE, *DECISIONS, ROOT / "compiler" / "README.md"]


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.stem)
def test_links_name_files_that_are_there_and_no_lines(path):
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(path))
    assert links
    for link in links:
        assert "#" not in link
        assert (path.parent / link).exists(), link


def test_the_table_has_the_rooms_in_their_order():
    table = text_of(PAGE).split("## The rooms")[1].split("\n\n![")[0]
    first = re.findall(r"^\| (.*?) \|", table, re.M)
    named = [room for cell in first for room in re.findall(r"(\w+)/\]", cell)]
    assert named == list(ROOMS)


def test_every_decision_has_its_parts_and_is_listed():
    index = text_of(ROOT / "docs" / "decisions" / "README.md")
    for path in DECISIONS:
        if path.stem != "README":
            parts = re.findall(r"^\*\*(\w+)\b.*?\*\*", text_of(path), re.M)
            assert [part for part in parts if part in PARTS] == PARTS, path.stem
            assert f"]({path.name})" in index


@cache
def record(name):
    return json.loads(text_of(ROOT / "benchmarks" / "results" / f"{name}.json"))


def step(date, net, rule, rival):
    """Microseconds of a step in the race of that day."""
    (found,) = (
        row["rivals"][rival]["us"]
        for row in record(f"{date}-cpu")["results"]
        if (row["net"], row["optimizer"]) == (net, rule)
    )
    return found


def search(date, rival):
    """Seconds of the search of that day."""
    return record(f"{date}-cpu-selection")["selection"][0]["rivals"][rival]["s"]


def part(net, rule, kind):
    """(microseconds of such calls within the step, of the step)."""
    (row,) = (
        row
        for row in record("2026-11-29-cpu")["breakdown"]
        if (row["net"], row["optimizer"]) == (net, rule)
    )
    return row["kinds"][kind]["us"], row["step"]


def process(rival):
    """Seconds of a whole process that trains XOR."""
    (row,) = (r for r in record("2026-11-29-cpu")["cold"] if r["task"] == "xor")
    return row["rivals"][rival]["s"]


XOR, DIGITS, WIDE = "2-3-2, 4", "64-32-10, 32", "784-512-512-10, 256"
MNIST, LARGE = "784-128-10, 128", "2048-2048-2048-2048-10, 1024"
OLD, NEW = "2026-11-21", "2026-11-29"
FIGURES = {
    "bits": {
        "42.78 of": part(WIDE, "adam", "compiled loops")[0],
        "2,044 µs": part(WIDE, "adam", "compiled loops")[1],
    },
    "record-and-replay": {
        "13.6 µs as replayed": step(NEW, XOR, "sgd", "xpnet_nojit"),
        "5.93 µs in C": step(NEW, XOR, "sgd", "xpnet"),
        "12.9 µs as hand-written": step(NEW, XOR, "sgd", "numpy"),
        "92.9 µs in eager": step(NEW, XOR, "sgd", "torch"),
        "1.15 µs": step(NEW, XOR, "sgd", "products"),
        "162 ms": step(NEW, LARGE, "sgd", "xpnet") / 1000,
        "165 ms": step(NEW, LARGE, "sgd", "products") / 1000,
    },
    "flat-buffers": {
        "0.52 of": part(XOR, "sgd", "update")[0],
        "6.27 µs": part(XOR, "sgd", "update")[1],
        "97.4 of": part(WIDE, "adam", "update")[0],
        "2,044 µs": part(WIDE, "adam", "update")[1],
        "0.316 s": search(NEW, "xpnet"),
        "0.852 s": search(NEW, "loop"),
    },
    "c-text": {
        "8.57 and": step(OLD, XOR, "sgd", "xpnet"),
        "5.93 µs": step(NEW, XOR, "sgd", "xpnet"),
        "11.3 and": step(OLD, DIGITS, "adam", "xpnet"),
        "8.85 µs": step(NEW, DIGITS, "adam", "xpnet"),
        "1.142 s": search(OLD, "xpnet"),
        "0.316 s": search(NEW, "xpnet"),
        "177 and": step(OLD, MNIST, "sgd", "xpnet"),
        "194 µs": step(NEW, MNIST, "sgd", "xpnet"),
    },
    "own-backpropagation": {
        "0.135 s": process("xpnet"),
        "2.243 s": process("torch"),
        "0.814 s": process("jax"),
        "8.85 µs": step(NEW, DIGITS, "adam", "xpnet"),
        "163 µs": step(NEW, DIGITS, "adam", "torch"),
        "87.3 µs": step(NEW, DIGITS, "adam", "jax"),
        "2,754 µs": step(NEW, WIDE, "sgd", "xpnet"),
        "2,716 µs": step(NEW, WIDE, "sgd", "jax"),
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_decision_quotes_its_record(name):
    text = " ".join(text_of(ROOT / "docs" / "decisions" / f"{name}.md").split())
    for words, value in FIGURES[name].items():
        assert re.search(rf"(?<![\d.,]){re.escape(words)}", text), words
        digits = words.split()[0].replace(",", "")
        decimals = len(digits.partition(".")[2])
        assert f"{value:.{decimals}f}" == digits, words


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_no_decision_quotes_a_figure_that_is_not_checked(path):
    text = " ".join(text_of(path).split())
    quoted = re.findall(r"(?<![\d.,])([\d.,]+) (?:µs|ms|s)\b", text)
    checked = {words.split()[0] for words in FIGURES.get(path.stem, {})}
    assert set(quoted) <= checked
