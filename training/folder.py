"""A folder that holds one description and the parts it names, as a whole.

    DIR/model.json                    the description
    DIR/weights-SHA256.safetensors    a part, named after its contents

To save is to write the parts that are not there yet and then to rename the description
into its place: that one step makes the save count. Parts that no description names are
removed after it, as is what killed or failed writers have left. Writers take turns by
the folder's lock. Readers need none: parts never change, and where one has gone, a
newer description is there to read.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from xpnet.common.files import (
    locked,
    remove_parts,
    sync_folder,
    write_whole,
)

T = TypeVar("T")
PART = re.compile(r"(?:weights|optimizer|progress)-[0-9a-f]{64}\.safetensors")
MODEL, CHECKPOINT = "model.json", "checkpoint.json"
ENSEMBLE = "ensemble.json"  # an older xpnet's, with members in folders 0, 1, ...
DESCRIPTIONS = (MODEL, ENSEMBLE, CHECKPOINT)
MAX_DESCRIPTION = 16 << 20  # bytes


class MissingPartError(ValueError):
    """A description names a part that is not there."""


def damaged(path: Path, why: str) -> NoReturn:
    """Raise the ValueError for a file that does not hold what was written."""
    raise ValueError(_damage(path, why))


def _damage(path: Path, why: str) -> str:
    return (
        f"{path} is damaged or no xpnet model: {why}; save the model again, or take a "
        "copy"
    )


def part_name(part: str, data: bytes) -> str:
    """The file name of a part of this kind with these contents."""
    return f"{part}-{hashlib.sha256(data).hexdigest()}.safetensors"


def write_folder(
    folder: Path,
    name: str,
    text: bytes,
    parts: Mapping[str, bytes],
    check: Callable[[bytes], None] | None = None,
) -> None:
    """Make `folder` hold this description and these parts, or leave it as it was.

    Files beside these are never touched, and links are replaced, not followed.

    Args:
        folder: made if it is not there.
        name: of the description.
        text: the description, which names the parts.
        parts: by file name, see `part_name`.
        check: raises if this description must not be replaced, called with it.

    Raises:
        ValueError: a folder of something else.
        OSError: it cannot be written; the older contents are there.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        sync_folder(folder.parent)
    with locked(folder, needed=False):  # names of their own keep writers apart too
        check_ours(folder, name)
        if check is not None and (folder / name).is_file():
            check((folder / name).read_bytes())
        try:
            for part, data in parts.items():
                if not _holds(folder / part, data):
                    write_whole(folder / part, data)
            write_whole(folder / name, text)
            if name == MODEL:
                _remove_old_ensemble(folder)
        finally:
            _clean(folder)


def check_ours(folder: Path, name: str, what: str = "save") -> None:
    """Raises ValueError for a folder of other things, without a description of ours.

    Args:
        folder: may be missing, empty, or hold what a killed writer has left.
        name: of the description that is to be written there.
        what: is about to write, for the message.
    """
    if not folder.is_dir():
        return
    names = (MODEL, ENSEMBLE) if name == MODEL else (name,)
    if any(_is_ours(folder / one) for one in names):
        return
    others = (path.name for path in sorted(folder.iterdir()))
    strange = [one for one in others if not one.startswith(".") and not _is_part(one)]
    if strange:
        kind = "saved model" if name == MODEL else "checkpoint"
        raise ValueError(
            f"{what}: {folder} holds {strange[0]!r} and no {kind} of xpnet; name a new "
            f"or an empty folder, such as {folder / 'model'}"
        )


def _is_part(name: str) -> bool:
    return bool(PART.fullmatch(name.removesuffix(".part")))


def _is_ours(path: Path) -> bool:
    """Whether xpnet wrote this description, though it may be damaged now."""
    if not path.is_file() or path.stat().st_size > MAX_DESCRIPTION:
        return False
    text = path.read_bytes()
    if path.name == ENSEMBLE:
        return b'"members"' in text
    return PART.search(text.decode("latin-1")) is not None


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file of its own, no link, has these contents."""
    if path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _clean(folder: Path) -> None:
    """Remove the parts that no description names, and what broken saves have left."""
    remove_parts(folder, lambda name: name in DESCRIPTIONS or _is_part(name))
    needed: set[str] = set()
    for name in DESCRIPTIONS:
        if (folder / name).is_file():
            needed |= set(PART.findall((folder / name).read_bytes().decode("latin-1")))
    for path in folder.iterdir():
        if _is_part(path.name) and path.name not in needed:
            with suppress(OSError):
                path.unlink()


def _remove_old_ensemble(folder: Path) -> None:
    """Remove an ensemble in the older form: the new description has taken its place."""
    if not _is_ours(folder / ENSEMBLE):
        return
    (folder / ENSEMBLE).unlink()
    for inner in folder.iterdir():
        if inner.name.isdecimal() and not inner.is_symlink() and inner.is_dir():
            if _is_ours(inner / MODEL):
                (inner / MODEL).unlink()
                _clean(inner)
            with suppress(OSError):  # something else is in it
                inner.rmdir()


def read_description(folder: Path, name: str) -> bytes:
    """The description; raises ValueError if it is too large to be one."""
    path = folder / name
    if path.stat().st_size > MAX_DESCRIPTION:
        damaged(path, f"larger than {MAX_DESCRIPTION} bytes")
    return path.read_bytes()


def read_part(folder: Path, name: str, most: int) -> bytes:
    """The part's bytes.

    Raises:
        MissingPartError: it is not there.
        ValueError: it is longer than `most` bytes, or another one than its name says.
    """
    path = folder / name
    if not path.is_file():
        raise MissingPartError(_damage(path, "it is missing"))
    size = path.stat().st_size
    if size > most:
        damaged(path, f"expected at most {most} bytes, got {size}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() not in name:
        damaged(path, "its SHA-256 is not the one in its name")
    return data


def read_folder(folder: Path, read: Callable[[], T]) -> T:
    """`read()`; again, with writers kept out, where one of them has removed a part."""
    with suppress(MissingPartError, FileNotFoundError):
        return read()
    with ExitStack() as held:
        with suppress(OSError):  # a folder that may not be listed has no lock
            held.enter_context(locked(folder, wait=10.0, shared=True, needed=False))
        return read()
