"""compiler/README.md: its worked example is what the compiler gives now."""

import re

import pytest

from docs import worked_example
from xpnet.compiler import c as native

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="no C compiler"),
    pytest.mark.usefixtures("standin"),
]
README = worked_example.README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def blocks():
    return worked_example.blocks()


def test_the_example_is_up_to_date(blocks):
    hint = "run `python -m docs.worked_example`"
    assert worked_example.with_blocks(README, blocks) == README, hint


def test_every_block_is_shown_and_the_check_sees_a_change(blocks, tmp_path):
    assert set(re.findall(r"<!-- example: (\w+) -->", README)) == set(blocks)
    for text in blocks.values():
        assert text in README
    path = tmp_path / "README.md"
    path.write_text(README.replace("buffer 0 (4, 3)", "buffer 1 (4, 3)", 1))
    assert worked_example.main(["--check"], path) == 1
    assert worked_example.main([], path) == 0
    assert path.read_text(encoding="utf-8") == README


def test_what_the_page_says_of_single_nodes_is_so(blocks):
    shown = set(re.findall(r"n\d+", blocks["passes"]))
    assert "n40 = transpose" in blocks["tape"]
    assert "n41 = matmul" in blocks["tape"]
    assert not shown & {"n40", "n41"}
    assert "n22 divide  n16 equal  n17 cast" in blocks["passes"]
    loop1 = blocks["c"].split("XPNET void ")[2]
    assert loop1.startswith("loop1")
    assert loop1.count("for (int64_t i = 0") == 2


def test_the_files_that_the_page_names_are_there():
    folder = worked_example.README.parent
    prose = worked_example.BLOCK.sub("", README)
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|c|cu|h))`", prose))
    assert len(named) > 25
    for name in named:
        assert (folder / name).is_file() or (folder.parent / name).is_file(), name
