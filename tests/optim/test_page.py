"""docs/optimizers.md agrees with the code: equations, names and defaults."""

import inspect
import re
from pathlib import Path

import pytest

from xpnet.arguments import OPTIMIZERS as WORDS
from xpnet.optim import MINIMIZERS, OPTIMIZERS, VARIANTS

PAGE = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text("utf-8")
LIBRARIES = ["xpnet", "PyTorch", "Keras", "optax"]
SECTION = re.compile(r"^##+ (\w+)\n\n`(\w+)`\. (.*?)(?=^##|\Z)", re.M | re.S)
SECTIONS = {name: (title, text) for title, name, text in SECTION.findall(PAGE)}


def cells(line):
    parts = re.split(r"(?<!\\)\|", line)[1:-1]
    return [part.strip().replace("\\|", "|") for part in parts]


def table(text):
    """{first cell: the other cells} of the table in a text."""
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert all(len(row) == len(rows[0]) for row in rows)
    assert set(rows[1]) == {"---"}
    return {row[0].strip("`"): row[1:] for row in [rows[0], *rows[2:]]}


COLUMNS = {row: table(SECTIONS[row][1]) for row in OPTIMIZERS}


def equations(text):
    return [line for line in text.splitlines() if line.startswith("    ")]


def test_the_help_lists_the_table():
    assert WORDS.split() == list(OPTIMIZERS)


def test_every_rule_and_minimiser_has_its_section_with_the_equations_of_the_code():
    kinds = OPTIMIZERS | MINIMIZERS
    assert list(SECTIONS) == list(kinds)
    for name, kind in kinds.items():
        title, text = SECTIONS[name]
        assert title == kind.__name__
        code = equations(inspect.getdoc(kind).split("\nArgs:")[0])
        assert equations(text) == code != [], name


def test_every_variant_is_named_with_its_setting():
    text = " ".join(PAGE.split())
    assert [
        n for n, rule in VARIANTS.items() if f"`{n}` is {rule()!r}" not in text
    ] == []


def test_the_overview_has_the_eps_of_each_section():
    overview = table(PAGE.split("## Side by side: eps")[1].split("\nThree more")[0])
    assert overview.pop("rule") == LIBRARIES
    assert overview == {n: c["eps"] for n, c in COLUMNS.items() if "eps" in c}


ROWS = {"name", "learning rate", "eps", "correction of the means", "momentum"}
ROWS |= {"", "weight decay", "other differences"}


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_docstring_and_columns_state_equation_paper_differences_and_defaults(row):
    text = inspect.getdoc(OPTIMIZERS[row])
    assert re.search(r"\n    .*(p ← p|W ← W) - ", text)
    assert re.search(r"\((19|20)\d\d\)", text)
    assert all(word in text for word in LIBRARIES[1:]) or (
        row == "adadelta" and "everywhere" in text
    )
    columns, defaults = COLUMNS[row], OPTIMIZERS[row].defaults()
    assert columns[""] == LIBRARIES
    assert {"name", "learning rate", "weight decay"} <= set(columns) <= ROWS
    assert columns["name"][0] == f"`{OPTIMIZERS[row].__name__}`"
    assert columns["learning rate"][0] == f"{defaults['learning_rate']:g}"
    assert ("eps" in columns) == ("eps" in defaults)
    if "eps" in defaults:
        assert columns["eps"][0].startswith(f"{defaults['eps']:g}, ")


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_pytorchs_column_states_its_defaults(row):
    torch = pytest.importorskip("torch")
    theirs = {title: column[1] for title, column in COLUMNS[row].items()}
    if theirs["name"] == "no such rule":
        assert not hasattr(torch.optim, OPTIMIZERS[row].__name__)
        return
    name = theirs["name"].strip("`").removeprefix("torch.optim.").partition("(")[0]
    taken = inspect.signature(getattr(torch.optim, name)).parameters
    assert theirs["learning rate"] == f"{taken['lr'].default:g}"
    assert bool(theirs.get("eps")) == ("eps" in taken)
    if "eps" in taken:
        assert theirs["eps"].startswith(f"{taken['eps'].default:g}, ")
