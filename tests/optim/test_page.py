"""The page of the rules is up to date, and says what is so."""

import inspect
import re
from pathlib import Path

import pytest

from xpnet.menu import OPTIMIZERS as WORDS
from xpnet.optim import OPTIMIZERS
from xpnet.optim.conventions import CONVENTIONS
from xpnet.optim.page import page

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"
LIBRARIES = ("xpnet", "PyTorch", "Keras", "optax")


def test_the_page_is_what_the_table_gives():
    again = "python -m xpnet.optim.page > docs/optimizers.md"
    assert PAGE.read_text(encoding="utf-8") == page(), again


def test_the_help_lists_the_table():
    assert WORDS.split() == list(OPTIMIZERS)


def test_every_rule_has_its_conventions():
    assert list(CONVENTIONS) == list(OPTIMIZERS)
    for row in CONVENTIONS.values():
        assert tuple(c.library for c in row) == LIBRARIES


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_a_docstring_has_the_equation_the_paper_and_the_differences(row):
    text = inspect.getdoc(OPTIMIZERS[row])
    assert re.search(r"\n    .*(p ← p|W ← W) - ", text)
    assert re.search(r"\((19|20)\d\d\)", text)
    assert all(word in text for word in ("PyTorch", "Keras", "optax")) or (
        row == "adadelta" and "everywhere" in text
    )


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_our_own_column_states_the_defaults(row):
    own, defaults = CONVENTIONS[row][0], OPTIMIZERS[row].defaults()
    assert own.name == OPTIMIZERS[row].__name__
    assert own.rate == f"{defaults['learning_rate']:g}"
    assert bool(own.eps) == ("eps" in defaults)
    assert own.eps.startswith(f"{defaults.get('eps', 0):g}" if own.eps else "")


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_pytorchs_column_states_its_defaults(row):
    torch = pytest.importorskip("torch")
    theirs = CONVENTIONS[row][1]
    if not theirs.name:
        assert not hasattr(torch.optim, OPTIMIZERS[row].__name__)
        return
    name = theirs.name.removeprefix("torch.optim.").partition("(")[0]
    taken = inspect.signature(getattr(torch.optim, name)).parameters
    assert theirs.rate == f"{taken['lr'].default:g}"
    assert bool(theirs.eps) == ("eps" in taken)
    if theirs.eps:
        assert theirs.eps.startswith(f"{taken['eps'].default:g}, ")
