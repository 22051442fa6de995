"""The page and the report hold what the record holds."""

import json
import re
from functools import cache
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


@cache
def whole():
    return page(record())


@pytest.fixture(scope="module")
def read():
    return Reader(whole())


def number(cell):
    return float(cell.replace(",", "").replace("%", ""))


def test_the_page_is_well_formed_and_every_picture_has_a_text_alternative(read):
    assert len(read.ids) == len(set(read.ids))
    assert "A <Processor> & Co" in "".join(read.texts)
    # two update rules with two charts each, width, batch, cold, accuracy
    assert len(read.pictures) == 8
    for picture in read.pictures:
        assert set(picture["aria-labelledby"].split()) <= set(read.ids)


def test_the_page_loads_nothing_and_takes_its_own_colours_and_font(read):
    outside = r"(?:https?:)?//|@import|url\((?!#)|<script|<img|<iframe"
    assert not re.search(outside, whole())
    inside = re.findall(r'(?:url\(|href=")#([^)"]+)', whole())
    assert inside
    assert set(inside) <= set(read.ids)
    assert "prefers-color-scheme: dark" in whole()
    for color, name in VARIABLES.items():
        assert color not in whole()
        assert len(re.findall(f"--{name}: #", whole())) == 2  # light and dark
        assert f"var(--{name})" in whole().partition("<svg")[2]
    assert "font-family" not in whole()
    for rival in ("numpy", "torch"):
        assert LOOKS[rival].color.lower() in whole()


def test_pictures_and_tables_of_the_page_show_the_figures_of_the_record(read):
    pictures, results = "".join(read.texts), record()["results"]
    tables = [t for t in read.tables if "µs a step" in t[0]]
    for table, race in zip(tables, results, strict=True):
        rivals = race["rivals"]
        for name in ("numpy", "torch"):
            assert figure(1 / rivals[name]["xpnet_over_this"]) in pictures
            floor = figure(rivals[name]["over_floor"])
            assert f"{LOOKS[name].short} {floor}" in pictures
        for cells, (name, row) in zip(table[1:], rivals.items(), strict=True):
            assert cells[0].startswith(RIVALS[name])
            if "note" in row:
                assert cells[1] == row["note"]
                continue
            keys = ("us", "iqr_us", "xpnet_over_this", "over_floor")
            shown = [number(cell) for cell in cells[1:]]
            assert shown == pytest.approx([row[k] for k in keys], rel=DIGITS)


def test_the_sweeps_of_the_page_are_those_of_the_record(read):
    given, pictures = record()["sweep"], "".join(read.texts)
    rows = [r for t in read.tables if t[0][0] in ("width", "batch") for r in t[1:]]
    assert [int(row[0]) for row in rows] == [point["value"] for point in given]
    for row, point in zip(rows, given, strict=True):
        torch = figure(point["rivals"]["torch"]["us"])
        assert f"{torch} at {point['value']}" in pictures
        for cell, rival in zip(row[1:], point["rivals"].values(), strict=True):
            if "us" in rival:
                assert number(cell) == pytest.approx(rival["us"], rel=DIGITS)
            else:
                assert cell == "-"


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


def test_figures_have_three_digits_or_more():
    values = (0.01204, 0.9999, 1.234, 12.34, 123.6, 184770.4)
    shown = ["0.0120", "1.00", "1.23", "12.3", "124", "184,770"]
    assert list(map(figure, values)) == shown


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
    found = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert sum(table.count("\n") for table in found) > 30
    for table in found:  # equally many cells in every row
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1


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
