"""What is to be a folder and is a file is refused at every entry, before any work."""

import contextlib
import io
import re

import pytest

import xpnet as xn
from tests.cases import data
from tests.training.examples import trainer
from xpnet.cli import main

X, Y = data()


def commanded(*arguments):
    """Raises ValueError with what the command line says."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        assert main(list(arguments)) == 2
    raise ValueError(err.getvalue())


ENTRIES = {
    "save": lambda t, place: t.save(place),
    "Ensemble.save": lambda t, place: xn.Ensemble([t]).save(place),
    "Checkpoint": lambda t, place: xn.Checkpoint(place),
    "resume": lambda t, place: t.fit(X, Y, resume=place),
    "train --save": lambda t, place: commanded("train", "xor", "--save", place),
}


@pytest.mark.parametrize("below", ["", "/a/b"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_file_in_the_place_of_a_folder_is_refused(entry, below, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    t = trainer()
    t.step(X, Y)
    before = t.parameters()["0.W"].copy()
    message = f"expected a directory, got the file {file}; name another place"
    with pytest.raises(ValueError, match=re.escape(message)):
        ENTRIES[entry](t, f"{file}{below}")
    assert file.read_text() == "mine"
    assert (t.parameters()["0.W"] == before).all()
