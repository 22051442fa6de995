"""Files that are none, or that become more than memory holds, at every loader."""

import gzip
import io
import os
import socket
import struct
import zipfile

import numpy as np
import pytest

from xpnet.common import check_file
from xpnet.data import load_csv, load_data, load_idx, load_npz
from xpnet.data.files import memory_limit
from xpnet.data.table import LONGEST

LOADERS = [
    ("csv", load_csv), ("npz", load_npz), ("idx", load_idx), ("csv", load_data),
    ("npz", load_data),
]  # fmt: skip


def listening(path):
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(os.path.relpath(path))


KINDS = {
    "a named pipe": os.mkfifo,
    "a socket": listening,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(os.name == "nt", reason="files of Unix")
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, (ending, loader) in enumerate(LOADERS):
        path = tmp_path / f"{i}.{ending}"
        KINDS[kind](path)
        with pytest.raises(ValueError, match=rf"expected a regular file, got {kind}"):
            loader(path)


@pytest.mark.skipif(os.name == "nt", reason="a file of Unix")
def test_a_pipe_without_a_reader_is_not_written_to(tmp_path):
    os.mkfifo(tmp_path / "out.json")
    with pytest.raises(ValueError, match=r"--json: .* cannot be written"):
        check_file(tmp_path / "out.json", "--json")


def idx_header(*shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def wide_table(path):
    path.write_text("a,b,y\n" + "1,2,3.5\n" * 3000 + "1,2,4\n")


def bomb(path):
    """Three megabytes of zeros in three kilobytes."""
    np.savez_compressed(path, x=np.zeros((3000, 1000), np.uint8), y=np.arange(3000))


def big_header(path):
    """A member with a header of version 2 that is two megabytes long."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2 << 20) + b" " * (2 << 20)
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, header)


def gzip_bomb(path):
    path.write_bytes(gzip.compress(idx_header(3000, 1000) + bytes(3_000_000)))


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(3 << 20)


BOMBS = [
    ("t.csv", wide_table, "rows would take"),
    ("t.npz", bomb, "x, y would take"),
    ("t.npz", big_header, "x, y would take"),
    ("t.npz", sparse, "the file would take"),
    ("images-idx2-ubyte.gz", gzip_bomb, "its array would take 2.861 MiB"),
]


@pytest.mark.parametrize(("name", "make", "message"), BOMBS)
def test_more_than_memory_is_refused_before_it_is_taken(
    name, make, message, tmp_path, monkeypatch
):
    path = tmp_path / name
    make(path)
    monkeypatch.setenv(
        "XPNET_MAX_BYTES", str(500_000 if "csv" not in name else 100_000)
    )
    with pytest.raises(ValueError, match=message) as caught:
        load_data(path, has_target=".gz" not in name)
    assert str(tmp_path) in str(caught.value)
    assert "XPNET_MAX_BYTES=BYTES" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_what_fits_is_read(tmp_path, monkeypatch):
    wide_table(tmp_path / "t.csv")
    bomb(tmp_path / "t.npz")
    monkeypatch.setenv("XPNET_MAX_BYTES", str(10 << 20))
    assert load_csv(tmp_path / "t.csv", task="regression").x.shape == (3001, 2)
    assert load_npz(tmp_path / "t.npz", "regression").x.shape == (3000, 1000)


def test_the_limit_is_what_is_free_or_what_is_named(monkeypatch):
    monkeypatch.delenv("XPNET_MAX_BYTES", raising=False)
    assert memory_limit() > 1 << 28
    monkeypatch.setenv("XPNET_MAX_BYTES", "12")
    assert memory_limit() == 12
    for text in ("1e9", "-1", "0", "lots"):
        monkeypatch.setenv("XPNET_MAX_BYTES", text)
        with pytest.raises(ValueError, match=r"XPNET_MAX_BYTES: expected a whole"):
            memory_limit()


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    )
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", text.getvalue() + bytes(80))
        archive.writestr("y.npy", text.getvalue() + bytes(80))
    with pytest.raises(ValueError, match="damaged"):
        load_npz(tmp_path / "t.npz")


def test_a_line_without_an_end_is_not_read_whole(tmp_path):
    path = tmp_path / "t.csv"
    with open(path, "wb") as file:
        file.truncate(3 << 30)  # sparse: it takes no space
    with pytest.raises(ValueError, match="line 1: expected UTF-8 text, got a NUL"):
        load_csv(path)
    path.write_text("a" * (LONGEST + 1))
    with pytest.raises(ValueError, match=f"line 1: expected at most {LONGEST} char"):
        load_csv(path)


def test_many_columns_are_read_and_their_errors_are_short(tmp_path):
    names = [f"c{i}" for i in range(60_000)]
    path = tmp_path / "t.csv"
    row = ",".join(["1"] * 60_000)
    path.write_text(",".join(names) + f"\n{row}\n{row[:-1]}2\n")
    assert load_csv(path).x.shape == (2, 59_999)
    with pytest.raises(
        ValueError, match=r"unknown target 'c_1'; did you mean"
    ) as caught:
        load_csv(path, target="c_1")
    assert len(str(caught.value)) < 1000


SEQUENCE = "\x1b]0;x\x07"


TEXTS = [
    (f"a{SEQUENCE},a{SEQUENCE},y\n1,2,3\n", None),
    (f"a{SEQUENCE},b,y\n1,x,3\n", "z"),
    (f"a{SEQUENCE},y\n1{SEQUENCE},3\n", None),
    (f"a,y{SEQUENCE}\n1,\n", None),
    (f"a,y\n1,{SEQUENCE}\n2,{SEQUENCE}\n", None),
    (f"a,y\n1,2.5\n2,{SEQUENCE}\n", None),
]


def test_text_of_a_file_in_an_error_does_nothing_to_a_terminal(tmp_path):
    path = tmp_path / f"t{SEQUENCE}.csv"
    for text, target in TEXTS:
        path.write_text(text)
        with pytest.raises(ValueError, match=r"hint|valid") as caught:
            load_csv(path, target)
        assert str(caught.value).isprintable()
