"""The file of a search: its finished networks, so that it can be continued.

One JSON object per line: a head that identifies the search, then a line for each
network. Each line ends with the SHA-256 of the rest of it. The `key` of a line
identifies the training: the data, the options, the part, and the network that `make`
made. A line is written when its network is done. A network whose line is incomplete or
damaged is trained again.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common import check_file, check_folder
from xpnet.common.console import warn
from xpnet.common.files import BusyError, locked, remove_parts, write_whole
from xpnet.common.plain import plain
from xpnet.selection.results import Trial
from xpnet.selection.space import Settings
from xpnet.training.trainer import Trainer

FORMAT = 2
SUM = ', "sha256": "%s"}'  # the end of a line
Row = dict[str, Any]


def settings_text(settings: Settings) -> str:
    """The settings as text for a reader; the key of a network is more exact."""
    return json.dumps(plain(settings), sort_keys=True)


class Store:
    """The file of one search, locked while the search runs.

    Args:
        path: of the file.
        search: the identity of the data and the options.

    Attributes:
        rows: {key: row} of the file.
        midway: path of the file of the stack in training, beside this file.
    """

    def __init__(self, path: Path, search: str) -> None:
        self.path, self.search = path, search
        rows = [row for _, row in _rows(path, search) if row]
        self.rows: dict[str, Row] = {row["key"]: row for row in rows if "key" in row}
        self.midway = _midway(path)

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, search: str) -> Iterator["Store"]:
        """The store, which no other search can open within the block.

        Raises:
            ValueError: the file belongs to another search or is no such file, another
                search is using it, or it cannot be written.
        """
        if not isinstance(path, str | os.PathLike) or not str(path):
            raise TypeError(f"file: expected a path, got {path!r}")
        place = Path(path).resolve()  # a link and its target are one file
        check_folder(place.parent, "file")
        if place.exists() and not place.is_file():
            raise ValueError(f"file: expected a file, got {place}, which is none")
        check_file(place, "file").touch()
        with ExitStack() as held:
            try:
                with locked(place, wait=0.0):
                    _mend(place, search)
                held.enter_context(locked(place, wait=0.0))  # `_mend` may replace it
            except BusyError:
                raise ValueError(
                    f"file: {place} is in use by another search; wait for its end, or "
                    "name another file"
                ) from None
            yield cls(place, search)

    def add(self, rows: Sequence[Row]) -> None:
        """Append the results of these networks.

        Raises:
            OSError: they cannot be written; the file is unchanged.
        """
        head = {"format": FORMAT, "search": self.search}
        lines = b"".join(_line(head | row) for row in rows)
        size = self.path.stat().st_size
        try:
            with open(self.path, "ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size)
            raise OSError(
                f"file: {self.path} cannot be written ({error.strerror}); make "
                "room and run the search again: it continues with what the file has"
            ) from error


def _line(row: Row) -> bytes:
    text = json.dumps(row)
    return (text[:-1] + SUM % hashlib.sha256(text.encode()).hexdigest() + "\n").encode()


def _row(line: bytes) -> Row | None:
    """The row of a line; None if the line is damaged."""
    at = len(line) - len(SUM % "") - 64 - 1
    text = line[: max(at, 0)] + b"}"
    own = SUM % hashlib.sha256(text).hexdigest() + "\n"
    if line[max(at, 0) :] != own.encode():
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and row.get("format") == FORMAT else None


def _rows(path: Path, search: str) -> list[tuple[bytes, Row | None]]:
    """The lines of a file with their rows.

    Raises:
        ValueError: the file is of another search, or is no file of a search.
    """
    content = path.read_bytes()
    found = [(line, _row(line)) for line in content.splitlines(keepends=True)]
    sound = [row for _, row in found if row]
    if content and not sound and not _head(search).startswith(content):
        raise ValueError(
            f"{path}: expected a file of a search, got another, or one of an older "
            "xpnet; name a new one"
        )
    if any(row["search"] != search for row in sound):
        raise ValueError(
            f"{path}: this file is of another search (other data, folds or options); "
            "name a new one"
        )
    return found


def _head(search: str) -> bytes:
    return _line({"format": FORMAT, "search": search})


def _midway(path: Path) -> Path:
    return path.with_name(f".{path.name}.stack")


def _mend(path: Path, search: str) -> None:
    """Remove damaged lines, and parts of files of killed processes."""
    remove_parts(path.parent, {path.name, _midway(path).name}.__contains__)
    rows = _rows(path, search)
    damaged = [
        number
        for number, (line, row) in enumerate(rows, 1)
        if not row and line.strip() and line.endswith(b"\n")  # else cut off by a kill
    ]
    if damaged:
        numbers = ", ".join(map(str, damaged[:5])) + ", ..." * (len(damaged) > 5)
        warn(
            f"{path}: line {numbers} is damaged; its network is trained again",
            stacklevel=2,
        )
    sound = [line for line, row in rows if row and "key" in row]
    wanted = b"".join([_head(search), *sound])
    if wanted != path.read_bytes():
        write_whole(path, wanted)


def enter(trial: Trial, row: Row) -> None:
    """Enter a row of the file, one network's result, into its trial."""
    part = row["part"]
    trial.scores[part] = row["scores"]
    trial.train_scores[part] = row["train_scores"]
    trial.epochs[part] = row["epochs"]
    if row["error"]:
        trial.errors[part] = row["error"]


WORK = 2e11  # parameters × samples between two saves, about half a minute
STEP = 1e5  # the same for the least time of a step
LARGEST = 1 << 28  # the most bytes to save


def epochs_between_saves(trainers: Sequence[Trainer], steps: int, samples: int) -> int:
    """Epochs between two saves by the work of one: the same on every machine.

    Args:
        trainers: built.
        steps, samples: of all of them in one epoch.
    """
    size = max(sum(a.size for a in _arrays(t)) for t in trainers)
    if size * trainers[0].dtype.itemsize * len(trainers) > LARGEST:
        return 1 << 62
    return max(1, int(WORK / (size * samples + STEP * steps)))


class Midway:
    """The file of a stack in training, beside that of its search.

        SHA-256 of the rest, a line of JSON, the arrays of all networks as NumPy's npz

    Only a search without callbacks continues a stack, since the state of a callback is
    not saved. The numbers are those of an uninterrupted training.

    Args:
        path: of the file.
        keys: of the networks.
    """

    def __init__(self, path: Path, keys: list[str]) -> None:
        self.path, self.keys = path, keys

    def save(self, trainers: Sequence[Trainer], epochs: int) -> None:
        """Write the networks as they are after `epochs`; warns if that fails."""
        head = {
            "keys": self.keys,
            "epochs": epochs,
            "counts": list(map(_counts, trainers)),
        }
        arrays: dict[str, Any] = {
            f"{i}.{j}": trainer.backend.to_numpy(array)
            for i, trainer in enumerate(trainers)
            for j, array in enumerate(_arrays(trainer))
        }
        file = io.BytesIO()
        np.savez(file, **arrays)
        body = json.dumps(head).encode() + b"\n" + file.getvalue()
        try:
            write_whole(self.path, hashlib.sha256(body).digest() + body)
        except OSError as error:
            warn(
                f"{self.path} cannot be written ({error.strerror}); the search goes on "
                "without, and after a kill it begins this stack anew",
                stacklevel=2,
            )

    def restore(self, trainers: Sequence[Trainer]) -> int:
        """Restore built networks from the file; returns their number of epochs.

        Returns 0 if the file has other networks, or is damaged or missing.
        """
        with suppress(FileNotFoundError):
            content = self.path.read_bytes()
            digest, body = content[:32], content[32:]
            if hashlib.sha256(body).digest() != digest:
                return 0
            line, _, rest = body.partition(b"\n")
            head: dict[str, Any] = json.loads(line)
            if head["keys"] == self.keys:
                with np.load(io.BytesIO(rest)) as arrays:
                    for i, trainer in enumerate(trainers):
                        _restore(trainer, head["counts"][i], arrays, f"{i}.")
                return int(head["epochs"])
        return 0


def _arrays(trainer: Trainer) -> list[Any]:
    """All arrays that training changes."""
    buffers = trainer.model.buffers
    assert buffers is not None
    arrays = [buffers.params, buffers.state, trainer.model.step]
    return [*arrays, *trainer.rule.slots, *trainer.rule.averages]


def _counts(trainer: Trainer) -> list[Any]:
    rates = trainer.rates
    return [trainer.steps_done, trainer.epochs_done, rates.scale, rates.fixed]


def _restore(trainer: Trainer, counts: list[Any], arrays: Any, name: str) -> None:
    with trainer.backend.active():
        for j, array in enumerate(_arrays(trainer)):
            trainer.backend.upload(array, arrays[f"{name}{j}"])
    trainer.steps_done, trainer.epochs_done, *rates = counts
    trainer.rates.scale, trainer.rates.fixed = rates
