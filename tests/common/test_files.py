"""Files are whole or not there; writers take turns."""

import os
import threading

import pytest

from xpnet.common import files


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a"
    for content, found in ((b"one", b"one"), ("zwölf", "zwölf".encode())):
        files.write_whole(path, content)
        assert path.read_bytes() == found
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, step
):
    path = tmp_path / "a"
    files.write_whole(path, b"old")

    def refused(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, refused)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_link_is_replaced_and_what_it_names_is_left_alone(tmp_path):
    other, path = tmp_path / "other", tmp_path / "a"
    other.write_bytes(b"mine")
    path.symlink_to(other)
    files.write_whole(path, b"new")
    assert (other.read_bytes(), path.read_bytes()) == (b"mine", b"new")
    assert not path.is_symlink()


def test_only_rests_of_writers_are_removed(tmp_path):
    rest, own = tmp_path / ".a.0123456789abcdef.part", tmp_path / "a.part"
    rest.touch(), own.touch()
    files.remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_keeps_writers_apart_and_readers_share_it(tmp_path, kind):
    path = tmp_path / "a"
    path.touch() if kind == "file" else path.mkdir()
    busy = pytest.raises(files.BusyError, match="another process")
    with files.locked(path), busy, files.locked(path, wait=0.0):
        pass
    first = files.locked(path, shared=True)
    second = files.locked(path, wait=0.0, shared=True)
    with first, second, pytest.raises(files.BusyError), files.locked(path, wait=0.0):
        pass
    with files.locked(path, wait=0.0):
        pass


def test_a_writer_waits_for_its_turn(tmp_path):
    order = []
    held = threading.Event()

    def first():
        with files.locked(tmp_path):
            held.set()
            order.append("first")

    thread = threading.Thread(target=first)
    with files.locked(tmp_path):
        thread.start()
        assert not held.wait(0.1)
        order.append("main")
    thread.join()
    assert order == ["main", "first"]


def test_a_lock_is_that_of_the_file_which_is_there(tmp_path, monkeypatch):
    """Not of one that is replaced while it is being locked."""
    path, known = tmp_path / "a", files._try_lock
    path.touch()

    def late(handle, shared, needed):
        if not path.read_bytes():
            files.write_whole(path, b"new")
        return known(handle, shared, needed)

    monkeypatch.setattr(files, "_try_lock", late)
    busy = pytest.raises(files.BusyError)
    with files.locked(path), busy, files.locked(path, wait=0.0):
        pass
