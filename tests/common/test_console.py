"""What is printed reaches its stream or is lost; it never raises."""

import sys
import warnings
from pathlib import Path
from unicodedata import name

import pytest

from tests.streams import STREAMS, encoded, text_of
from xpnet.common.console import (
    Output,
    bar,
    command_streams,
    complain,
    output,
    printable,
    readable,
    say,
    warn,
)

ROOT = Path(__file__).resolve().parents[2]


ARRIVES = {
    "ascii": "delta of 2x3 +- 1/2 \\xe9\n",
    "ascii terminal": "delta of 2x3 +- 1/2 \\xe9\n",
    "cp1252": "delta of 2×3 ± ½ é\n",
    "bare": "δ of 2×3 ± ½ é\n",
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_line_a_bar_and_a_warning_are_printed_or_lost(kind, monkeypatch):
    for place, function in (("stdout", say), ("stderr", complain)):
        stream = STREAMS[kind]()
        monkeypatch.setattr(sys, place, stream)
        function("δ of 2×3 ± ½ é")
        assert text_of(stream) == ARRIVES.get(kind, "")
    for verbose in (None, True, False):
        stream = STREAMS[kind]()
        monkeypatch.setattr(sys, "stderr", stream)
        with bar(3, verbose) as advance:
            for _ in range(3):
                advance(1)
        shown = verbose or (verbose is None and kind == "ascii terminal")
        assert ("/3" in text_of(stream)) == bool(shown and kind in ARRIVES)

    def show(message, *rest, **others):
        sys.stderr.write(f"{message}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        monkeypatch.setattr(sys, "stderr", STREAMS[kind]())
        warn("δ vanishes", RuntimeWarning)


def test_a_warning_that_is_an_error_is_raised_where_it_was_given():
    with pytest.warns(RuntimeWarning, match="here") as caught:
        warn("here", RuntimeWarning)
    assert caught[0].filename == __file__
    with pytest.raises(UserWarning, match="there"):
        warn("there")


def test_characters_that_an_encoding_has_stay_and_others_are_made_safe():
    assert readable("δ é", "utf-8") == "δ é"
    assert readable("δ é", "cp1252") == "delta é"
    assert readable("δ é 日 \udc80", "no such") == "delta \\xe9 \\u65e5 \\udc80"
    assert readable("a\udc80", "utf-8") == "a\\udc80"
    for text, expected in (
        ("plain, é", "plain, é"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\t", "a\\r\\nb\\t"),
        ("\u202eabc", "\\u202eabc"),
        ("\x9b31m", "\\x9b31m"),
    ):
        assert printable(text) == expected


def test_every_character_that_the_library_prints_has_a_spelling():
    """But for the letters of people's names."""
    rooms = ("backend", "data", "lessons", "layers", "optim", "selection")
    for room in (*rooms, "training", "xpnet", "common"):
        folder = ROOT / room
        files = folder.glob("*.py") if room == "xpnet" else folder.rglob("*.py")
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        strange = {c for c in text if ord(c) > 126 and not name(c).startswith("LATIN")}
        unspelt = [c for c in sorted(strange) if "\\" in readable(c)]
        assert not unspelt, f"{room}: {unspelt}"


def test_a_command_has_its_streams_back_afterwards(monkeypatch):
    ours = encoded("ascii"), encoded("ascii")
    monkeypatch.setattr(sys, "stdout", ours[0])
    monkeypatch.setattr(sys, "stderr", ours[1])
    with command_streams() as out:
        assert isinstance(sys.stdout, Output)
        assert output() is out
        print("δ")
        print("∂", file=sys.stderr)
        print(sys.stdout.encoding, sys.stdout.isatty())
    assert (sys.stdout, sys.stderr) == ours
    assert text_of(ours[0]) == "delta\nascii False\n"
    assert text_of(ours[1]) == "d\n"


def test_only_a_strict_output_tells_of_a_reader_that_has_gone():
    to = Output(STREAMS["reader has gone"]())
    to.write("x")
    assert isinstance(to.error, BrokenPipeError)
    to.write("y")
    strict = Output(STREAMS["reader has gone"](), strict=True)
    with pytest.raises(BrokenPipeError):
        strict.write("x")
