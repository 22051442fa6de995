"""What is told to install is what the extras bring, and has a name that pip knows."""

import re
import tomllib
from pathlib import Path

import pytest

from xpnet.common.install import NEEDS, install

ROOT = Path(__file__).resolve().parents[2]
with open(ROOT / "pyproject.toml", "rb") as file:
    EXTRAS = tomllib.load(file)["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", NEEDS)
def test_an_extra_is_what_the_project_says(extra):
    assert [NEEDS[extra]] == EXTRAS[extra]
    assert install(extra) == f"pip install '{NEEDS[extra]}'"


def test_no_hint_asks_for_xpnet_itself():
    """It is on no package index; only a checkout's `pip install '.[plot]'` works."""
    rooms = [folder for folder in (ROOT / "xpnet").iterdir() if folder.is_dir()]
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("xpnet/*.py")]
    files += [path for room in rooms for path in room.rglob("*.py")]
    hints = [p for p in files if re.search(r"xpnet\[\w+\]", p.read_text("utf-8"))]
    assert len(files) > 200
    assert hints == []
