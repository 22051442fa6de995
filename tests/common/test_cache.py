"""The cache: only what is this user's own and whole is read, and it has a limit."""

import os
import stat
import subprocess
import sys
import time

import pytest

from xpnet.common import cache
from xpnet.common.cache import Part, cache_directory, keep, kept

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners of POSIX")
root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away"
)
OTHER = 12345  # a user
NAME = "a" * 32 + ".program"


@pytest.fixture(autouse=True)
def folder(cache_folder):
    return cache_folder


# Files.


def test_what_is_kept_is_found_and_replaced():
    assert kept(NAME) is None
    for content in (b"", b"one\n", bytes(range(256)) * 999):
        keep(NAME, content)
        assert kept(NAME) == content


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def linked(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def other_name(path):
    keep("b" * 32 + ".program", b"another program")
    path.with_name("b" * 32 + ".program").rename(path)


UNSOUND = {
    "empty": lambda path: path.write_bytes(b""),
    "a flipped bit": flipped,
    "cut off": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "another file's": other_name,
    "without a sum": lambda path: path.write_bytes(b"a program"),
    "a link": linked,
    "a pipe": fifo,
    "huge": lambda path: os.truncate(path, 1 << 40),
    "the group writes": lambda path: path.chmod(0o620),
    "all write": lambda path: path.chmod(0o602),
}


@posix
@pytest.mark.parametrize("case", UNSOUND)
def test_what_is_not_sound_is_removed_and_made_anew(case, folder):
    UNSOUND[case](keep(NAME, b"a program"))
    assert kept(NAME) is None
    assert not os.path.lexists(folder / NAME)
    keep(NAME, b"a program")
    assert kept(NAME) == b"a program"


@root
def test_a_file_of_another_user_is_not_read():
    os.chown(keep(NAME, b"a program"), OTHER, -1)
    assert kept(NAME) is None


def test_every_bit_counts(folder):
    data = keep(NAME, b"a program").read_bytes()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / NAME).write_bytes(changed)
        assert kept(NAME) is None


def test_a_folder_in_its_place_is_left_alone(folder):
    (folder / NAME).mkdir()
    assert kept(NAME) is None
    with pytest.raises(OSError):
        keep(NAME, b"a program")
    assert [p.name for p in folder.iterdir()] == [NAME]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(folder, monkeypatch):
    keep(NAME, b"old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    for where in ("os.replace", "pathlib.Path.write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(where, full)
            with pytest.raises(OSError, match="No space"):
                keep(NAME, b"new")
        assert kept(NAME) == b"old"
        assert [p.name for p in folder.iterdir()] == [NAME]


# The folder.


def chosen(monkeypatch, named):
    """The folder where XPNET_CACHE_DIR is `named`."""
    monkeypatch.setenv("XPNET_CACHE_DIR", str(named))
    cache_directory.cache_clear()
    return cache_directory()


def is_private(folder):
    info = os.lstat(folder)
    shared = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not shared


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """What stands for /tmp."""
    place = tmp_path / "tmp"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@posix
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777, 0o775, 0o1775])
def test_a_folder_that_others_cannot_write_is_taken(mode, tmp_path, monkeypatch):
    """In one that they can write this user has one of its own."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    (tmp_path / "link").symlink_to("a")
    shared = mode & (stat.S_IWGRP | stat.S_IWOTH)
    own = tmp_path / "a" / (f"xpnet-{os.geteuid()}" if shared else "")
    for named in ("a", "link"):
        found = chosen(monkeypatch, tmp_path / named)
        assert found == own
        assert is_private(found)
    assert is_private(chosen(monkeypatch, tmp_path / "new" / "newer"))


def open_to_all(folder):
    folder.chmod(0o777)


def given_away(folder):
    os.chown(folder, OTHER, -1)


def shared_and_planted(folder):
    folder.chmod(0o1777)
    (folder / "tmp").mkdir()
    (folder / f"xpnet-{os.geteuid()}").symlink_to("tmp")


@posix
@pytest.mark.parametrize(
    "unsafe",
    [open_to_all, pytest.param(given_away, marks=root), shared_and_planted],
    ids=lambda case: case.__name__,
)
def test_a_folder_that_is_not_safe_is_told_of_and_not_taken(
    unsafe, tmp_path, temporary, monkeypatch
):
    (tmp_path / "a").mkdir()
    unsafe(tmp_path / "a")
    for _ in range(2):  # another process has the same one
        with pytest.warns(RuntimeWarning, match="XPNET_CACHE_DIR: .* is not used"):
            found = chosen(monkeypatch, tmp_path / "a")
        assert found == temporary / f"xpnet-{os.geteuid()}"
        assert is_private(found)
        assert cache_directory() == found  # told once


@posix
def test_homes_that_cannot_be_written_leave_one_folder_a_user(tmp_path, temporary):
    (tmp_path / "file").touch()
    environment = {
        **{k: v for k, v in os.environ.items() if k != "XPNET_CACHE_DIR"},
        **{"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(temporary)},
    }
    code = "from xpnet.common import cache; print(cache.keep('a.json', b'1').parent)"
    code = f"import warnings; warnings.simplefilter('error'); {code}"

    def used():
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    own = temporary / f"xpnet-{os.geteuid()}"
    assert {used(), used()} == {str(own)}
    (own / "a.json").unlink()
    own.rmdir()
    own.symlink_to(tmp_path)  # somebody has planted a link: a folder for this process
    assert used().startswith(str(temporary / "xpnet-"))
    assert list(temporary.iterdir()) == [own]


# What is not finished.


def test_parts_of_the_living_stay_and_those_of_the_dead_go(folder):
    code = (
        "import os, signal; from xpnet.common.cache import Part;"
        "p = Part(); f = Part(folder=True); (f.path / 'program.c').touch();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with Part() as file, Part(folder=True) as inner:
        (inner.path / "program.c").touch()
        run = subprocess.run([sys.executable, "-c", code], check=False)
        assert run.returncode < 0
        assert len(list(folder.iterdir())) == 4
        cache._SWEPT.clear()
        with Part():
            pass
        assert {p.name for p in folder.iterdir()} == {file.path.name, inner.path.name}
    assert not list(folder.iterdir())


def test_without_locks_parts_go_after_a_day(folder, monkeypatch):
    def no_locks(*arguments, **options):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(cache, "locked", no_locks)
    with Part() as old, Part() as new:
        past = time.time() - 2 * cache.DAY
        os.utime(old.path, (past, past))
        cache._SWEPT.clear()
        cache._sweep(folder)
        assert [p.name for p in folder.iterdir()] == [new.path.name]


# The limit.


def program(i):
    return f"{i:032x}.program"


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_least_recently_used_go_first(folder, monkeypatch):
    monkeypatch.setenv("XPNET_CACHE_SIZE", "0.01")
    (folder / "mine.txt").write_bytes(b"1" * 50_000)
    keep("crossover.json", b"1" * 5000)
    for i in range(30):
        path = keep(program(i), b"1" * 1000)
        os.utime(path, (i, i))
        assert kept(program(0)) is not None  # which is used all the time
    left = names(folder) - {"mine.txt", "crossover.json"}
    assert sum((folder / name).stat().st_size for name in left) <= 10_000
    assert {program(0), program(29)} <= left
    assert {"mine.txt", "crossover.json"} < names(folder)


def test_there_are_not_too_many_files(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST_FILES", 20)
    for i in range(100):
        keep(program(i), b"")
    assert len(names(folder)) <= 20


def test_a_limit_that_is_no_size_is_an_error(monkeypatch):
    for text in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("XPNET_CACHE_SIZE", text)
        cache_directory.cache_clear()
        with pytest.raises(ValueError, match="XPNET_CACHE_SIZE: expected a number of"):
            cache_directory()


def test_clearing_removes_what_is_xpnets_and_nothing_else(folder):
    made = ["xpnet_" + "0" * 32 + ".so", "xpnet_" + "0" * 32 + ".wanted", program(1)]
    for name in made:
        keep(name, b"1")
    rest = {"mine.so", "xpnet_notes.txt", "part-time", "crossover.json"}
    for name in sorted(rest):
        keep(name, b"1")
    (folder / program(2)).mkdir()
    with Part() as part:
        assert {entry.path.name for entry in cache.clear()} == set(made)
        assert names(folder) == {*rest, program(2), part.path.name}
