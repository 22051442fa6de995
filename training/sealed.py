"""JSON that tells when it was changed: a digest for every entry, one way to write it.

    {"checksums": {entry: SHA-256 of its JSON}, entry: value, ...}

Sorted keys and a fixed layout make the text a function of the values, so a file of
another text has been changed, even where the values are the same.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xpnet.training.folder import damaged

CHECKSUMS = "checksums"


def sealed(entries: dict[str, Any]) -> bytes:
    """The text of `entries` with their digests.

    Raises:
        ValueError, TypeError: values that JSON does not have, such as NaN.
    """
    digests = {name: _digest(value) for name, value in entries.items()}
    return _text(entries | {CHECKSUMS: digests})


def _text(entries: Any) -> bytes:
    text = json.dumps(entries, indent=2, sort_keys=True, allow_nan=False)
    return f"{text}\n".encode()


def _digest(value: Any) -> str:
    return hashlib.sha256(_text(value)).hexdigest()


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, the contents of `path`.

    Raises:
        ValueError: something else, a key that is there twice, NaN or an infinity.
    """
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        damaged(path, str(error))
    if not isinstance(found, dict):
        damaged(path, "it is no JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice")
        if not _finite(value):
            raise ValueError(f"{key}: expected finite numbers, got {value!r}")
        found[key] = value
    return found


def _finite(value: Any) -> bool:
    """Whether there is no NaN and no infinity, which Python reads and JSON has not."""
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def check_seal(path: Path, data: bytes, found: dict[str, Any]) -> None:
    """Raises ValueError, with the entry, if `found` is not what was sealed."""
    digests = found.get(CHECKSUMS)
    if not isinstance(digests, dict):
        damaged(path, f"{CHECKSUMS}: expected a digest for each entry, got {digests!r}")
    entries = {name: value for name, value in found.items() if name != CHECKSUMS}
    check_keys(path, "", digests, entries)
    for name, value in entries.items():
        if digests[name] != _digest(value):
            damaged(path, f"{name}: its contents are not those that were written")
    if data != _text(found):
        damaged(path, "its layout is not the one that was written")


def check_keys(
    path: Path, where: str, wanted: Iterable[str], found: Iterable[str]
) -> None:
    """Raises ValueError for an entry that is missing or not known."""
    problem = keys_differ(where, wanted, found)
    if problem:
        damaged(path, problem)


def keys_differ(where: str, wanted: Iterable[str], found: Iterable[str]) -> str:
    """Which entry is missing or not known, in words; empty if none is."""
    wanted, found = set(wanted), set(found)
    dot = "." if where else ""
    for key in sorted(wanted - found):
        return f"{where}{dot}{key}: the entry is missing"
    for key in sorted(found - wanted):
        return f"{where}{dot}{key}: an unknown entry"
    return ""


def difference(wanted: Any, found: Any, where: str = "", exact: bool = True) -> str:
    """The first entry of `found` that is another one than in `wanted`, in words.

    Args:
        wanted, found: values of JSON.
        where: the name of the entry.
        exact: whether 1 and 1.0 are different, as their texts are.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        problem = keys_differ(where, wanted, found)
        dot = "." if where else ""
        rows = [(f"{where}{dot}{key}", wanted[key], found.get(key)) for key in wanted]
    elif isinstance(wanted, list) and isinstance(found, list):
        problem = ""
        if len(wanted) != len(found):
            problem = f"{where}: expected {len(wanted)} entries, got {len(found)}"
        pairs = zip(wanted, found, strict=False)
        rows = [(f"{where}[{i}]", *pair) for i, pair in enumerate(pairs)]
    elif _equal(wanted, found, exact):
        return ""
    else:
        return f"{where}: expected {json.dumps(wanted)}, got {json.dumps(found)}"
    problems = (difference(a, b, name, exact) for name, a, b in rows)
    return problem or next(filter(None, problems), "")


def _equal(wanted: Any, found: Any, exact: bool) -> bool:
    numbers = all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in (wanted, found)
    )
    if type(wanted) is not type(found) and not (numbers and not exact):
        return False
    return bool(wanted == found)
