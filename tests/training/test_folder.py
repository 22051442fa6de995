"""Folders of a description and its parts: whole, ours, and nothing left behind."""

import os
import threading

import pytest

from xpnet.common.files import locked
from xpnet.training.folder import (
    CHECKPOINT,
    MODEL,
    MissingPartError,
    check_ours,
    part_name,
    read_folder,
    read_part,
    write_folder,
)


def write(folder, *contents, name=MODEL):
    """Save these parts; the description is their names."""
    parts = {part_name("weights", data): data for data in contents}
    write_folder(folder, name, "\n".join(parts).encode(), parts)
    return parts


def read(folder):
    names = (folder / MODEL).read_text().split()
    return [read_part(folder, name, 100) for name in names]


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_parts_of_the_one_before_are_removed_and_shared_ones_are_kept(tmp_path):
    write(tmp_path, b"a", b"b")
    kept = (tmp_path / part_name("weights", b"b")).stat().st_ino
    parts = write(tmp_path, b"b", b"c")
    assert names(tmp_path) == {MODEL, *parts}
    assert read(tmp_path) == [b"b", b"c"]
    assert (tmp_path / part_name("weights", b"b")).stat().st_ino == kept


RESTS = [
    ".model.json.0123456789abcdef.part",
    f".{part_name('weights', b'x')}.0123456789abcdef.part",
    f"{part_name('optimizer', b'x')}.part",  # of an older xpnet
    part_name("progress", b"x"),
]
OTHERS = [
    "model.txt",
    "weights.safetensors",
    ".other.0123456789abcdef.part",
    "weights-12.safetensors",
]


@pytest.mark.parametrize("description", [True, False])
def test_rests_are_removed_and_other_files_are_left(description, tmp_path):
    if description:
        write(tmp_path, b"a")
        for name in OTHERS:
            (tmp_path / name).write_bytes(b"mine")
    for name in RESTS:
        (tmp_path / name).write_bytes(b"rest")
    parts = write(tmp_path, b"b")
    assert names(tmp_path) == {MODEL, *parts, *(OTHERS if description else ())}


FOREIGN = {
    "a text": ("notes.txt", b"mine"),
    "another program's model.json": (MODEL, b'{"format": "layers-model"}'),
    "no JSON": (MODEL, b"\x00\x01"),
    "checkpoints": (CHECKPOINT, part_name("weights", b"a").encode()),
    "a folder": ("src", None),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_folder_of_something_else_is_refused_and_left_alone(case, tmp_path):
    name, content = FOREIGN[case]
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"holds {name!r} and no saved model"):
        write(tmp_path, b"a")
    with pytest.raises(ValueError, match=r"--save: .*name a new or an empty folder"):
        check_ours(tmp_path, MODEL, "--save")
    assert names(tmp_path) == {name}
    if content is not None:
        assert (tmp_path / name).read_bytes() == content


def test_hidden_files_do_not_make_a_folder_another_ones(tmp_path):
    (tmp_path / ".gitignore").write_text("*")
    write(tmp_path, b"a")
    assert (tmp_path / ".gitignore").read_text() == "*"


@pytest.mark.parametrize("name", [MODEL, part_name("weights", b"new")])
def test_links_are_replaced_and_never_followed(name, tmp_path):
    other, folder = tmp_path / "other", tmp_path / "model"
    write(folder, b"old")
    mine = (folder / MODEL).read_bytes() if name == MODEL else b"new"
    other.write_bytes(mine)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(other)
    (folder / part_name("optimizer", b"x")).symlink_to(other)
    write(folder, b"new")
    assert other.read_bytes() == mine
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert read(folder) == [b"new"]


def test_a_part_that_was_damaged_is_written_anew(tmp_path):
    (name,) = write(tmp_path, b"abc")
    (tmp_path / name).write_bytes(b"abd")
    write(tmp_path, b"abc")
    assert read(tmp_path) == [b"abc"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("first", [True, False])
def test_a_save_that_fails_leaves_the_older_one_and_no_rests(
    step, first, tmp_path, monkeypatch
):
    if not first:
        write(tmp_path, b"old")
    before = names(tmp_path)
    real = getattr(os, step)
    for stop in range(3):
        left = iter(range(100))

        def refuse(*arguments, left=left, stop=stop):
            if next(left) >= stop:  # a full disk stays full
                raise OSError(28, "No space left on device")
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, refuse)
            with pytest.raises(OSError, match="No space left"):
                write(tmp_path, b"new", b"newer")
        assert names(tmp_path) == before


def test_writers_take_turns(tmp_path):
    write(tmp_path, b"old")
    thread = threading.Thread(target=write, args=(tmp_path, b"new"))
    with locked(tmp_path):
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert read(tmp_path) == [b"old"]
    thread.join()
    assert read(tmp_path) == [b"new"]


def test_a_reader_whose_part_has_gone_reads_the_newer_one(tmp_path):
    write(tmp_path, b"old")
    seen = []

    def slow():
        names = (tmp_path / MODEL).read_text().split()
        seen.append(names)
        if len(seen) == 1:
            write(tmp_path, b"new")
        return [read_part(tmp_path, name, 100) for name in names]

    assert read_folder(tmp_path, slow) == [b"new"]
    assert len(seen) == 2


def test_a_part_that_stays_missing_is_told(tmp_path):
    (name,) = write(tmp_path, b"a")
    (tmp_path / name).unlink()
    with pytest.raises(MissingPartError, match=f"{name} is damaged.*missing"):
        read_folder(tmp_path, lambda: read(tmp_path))


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    def refused(*arguments):
        raise OSError(95, "Operation not supported")

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refused)
    write(tmp_path, b"a")
    assert read_folder(tmp_path, lambda: read(tmp_path)) == [b"a"]
