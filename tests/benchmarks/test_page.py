"""The page and the report hold what the record holds."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the page needs matplotlib")

from tests.benchmarks.records import record, result
from xpnet.benchmarks import estimators, selection
from xpnet.benchmarks import report as report_module
from xpnet.benchmarks.page import LOOKS, VARIABLES, page
from xpnet.benchmarks.record import read as read_record
from xpnet.benchmarks.report import report
from xpnet.benchmarks.rivals import RIVALS
from xpnet.benchmarks.tables import figure, race_table, training_table

VOID = {"meta", "link", "br"}
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
DIGITS = 0.006  # three digits are shown


class Reader(HTMLParser):
    """Checks that tags are closed in order; collects tables, ids and pictures."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.ids, self.pictures = [], [], [], []
        self.row, self.cell, self.texts = None, None, []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if values.get("role") == "img":
            self.pictures.append(values)
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None

    def handle_data(self, text):
        self.texts.append(text)
        if self.cell is not None:
            self.cell += text


@pytest.fixture(scope="module")
def read():
    return Reader(page(record()))


def number(cell):
    return float(cell.replace(",", "").replace("%", ""))


def test_the_page_is_well_formed_and_its_ids_are_unique(read):
    assert len(read.ids) == len(set(read.ids))
    assert "A <Processor> & Co" in "".join(read.texts)


def test_every_picture_has_a_text_alternative(read):
    # two update rules with two charts each, width, batch, cold, accuracy
    assert len(read.pictures) == 8
    for picture in read.pictures:
        for name in picture["aria-labelledby"].split():
            assert name in read.ids


def test_the_page_loads_nothing_from_elsewhere(read):
    text = page(record())
    outside = r"(?:https?:)?//|@import|url\((?!#)|<script|<img|<iframe"
    assert not re.search(outside, text)
    inside = re.findall(r'(?:url\(|href=")#([^)"]+)', text)
    assert inside
    assert set(inside) <= set(read.ids)


def test_pictures_take_the_colours_and_the_font_of_the_page():
    text = page(record())
    assert "prefers-color-scheme: dark" in text
    for color, name in VARIABLES.items():
        assert color not in text
        assert len(re.findall(f"--{name}: #", text)) == 2  # light and dark
        assert f"var(--{name})" in text.partition("<svg")[2]
    assert "font-family" not in text
    for rival in ("numpy", "torch"):
        assert LOOKS[rival].color.lower() in text


def test_pictures_show_the_figures_of_the_record(read):
    pictures = "".join(read.texts)
    for race in record()["results"]:
        for name in ("numpy", "torch"):
            row = race["rivals"][name]
            assert figure(1 / row["xpnet_over_this"]) in pictures
            assert f"{LOOKS[name].short} {figure(row['over_floor'])}" in pictures
    for point in record()["sweep"]:
        shown = f"{figure(point['rivals']['torch']['us'])} at {point['value']}"
        assert shown in pictures


def test_the_numbers_of_the_page_are_those_of_the_record(read):
    results = record()["results"]
    tables = [t for t in read.tables if "µs a step" in t[0]]
    assert len(tables) == len(results)
    for table, expected in zip(tables, results, strict=True):
        assert len(table) == 1 + len(expected["rivals"])
        for cells, (name, row) in zip(
            table[1:], expected["rivals"].items(), strict=True
        ):
            assert cells[0].startswith(RIVALS[name])
            if "note" in row:
                assert cells[1] == row["note"]
                continue
            keys = ("us", "iqr_us", "xpnet_over_this", "over_floor")
            shown = [number(cell) for cell in cells[1:]]
            assert shown == pytest.approx([row[k] for k in keys], rel=DIGITS)


def test_the_sweeps_of_the_page_are_those_of_the_record(read):
    given = record()["sweep"]
    rows = [r for t in read.tables if t[0][0] in ("width", "batch") for r in t[1:]]
    assert [int(row[0]) for row in rows] == [point["value"] for point in given]
    for row, point in zip(rows, given, strict=True):
        for cell, name in zip(row[1:], point["rivals"], strict=True):
            expected = point["rivals"][name].get("us")
            if expected is None:
                assert cell == "-"
            else:
                assert number(cell) == pytest.approx(expected, rel=DIGITS)


def test_a_page_of_a_quick_record_leaves_out_what_was_not_measured():
    short = record() | {"sweep": [], "cold": [], "accuracy": []}
    read = Reader(page(short))
    assert len(read.pictures) == 4
    assert "97%" not in "".join(read.texts)


@pytest.mark.parametrize("kept", [["xpnet"], ["jax"], ["numpy", "thinc"]], ids=str)
def test_a_page_needs_no_particular_rival(kept):
    one = result((64, 32, 10), 32)
    one["rivals"] = {name: one["rivals"][name] for name in kept}
    read = Reader(page(record() | {"results": [one], "sweep": [], "cold": []}))
    assert any(RIVALS[kept[0]] in text for text in read.texts)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.01204, "0.0120"),
        (0.9999, "1.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.6, "124"),
        (184770.4, "184,770"),
    ],
)
def test_figures_have_three_digits_or_more(value, shown):
    assert figure(value) == shown


def test_the_report_holds_every_figure_of_the_record():
    given = record()
    text = report(given, "some.json")
    assert "`some.json`" in text
    tables = [race_table(r) for r in given["results"]]
    tables += [training_table(r) for r in (*given["cold"], *given["accuracy"])]
    for table in tables:
        for row in table.rows:
            line = "| " + " | ".join((row.label, *row.cells))
            assert line in text
            assert row.note in text
    for row in ("width | xpnet |", "batch | xpnet |", "OPENBLAS_CORETYPE=Haswell"):
        assert row in text


def test_markdown_tables_have_equally_many_cells_in_every_row():
    lines = report(record(), "some.json").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 30
    width = None
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            count = len(re.findall(r"(?<!\\)\|", line))
            assert not before.startswith("|") or count == width
            width = count


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_every_committed_record_can_be_read_and_reported(file):
    kept = read_record(file)
    text = report(kept, file.name)
    for race in kept["results"]:
        assert race_table(race).markdown() in text
    for table, part in (
        (selection.table, "selection"),
        (estimators.table, "estimators"),
    ):
        for found in kept.get(part, []):
            assert table(found).markdown() in text


def test_the_documents_are_the_report_of_the_newest_record():
    document = (RESULTS.parents[1] / "docs" / "benchmarks.md").read_text("utf-8")
    (name,) = re.findall(r"from `([^`]+)`", document)
    assert report(read_record(RESULTS / name), name) == document


def test_the_report_is_printed_from_a_file(tmp_path, capsys):
    file = tmp_path / "r.json"
    file.write_text(json.dumps(record()), encoding="utf-8")
    assert report_module.main([str(file)]) == 0
    assert capsys.readouterr().out == report(record(), "r.json")
    file.write_text("[]", encoding="utf-8")
    assert report_module.main([str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("report: error:")
