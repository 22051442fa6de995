"""Finished networks of a search in a file, so that it can be stopped and gone on with.

One JSON object a line: a head that says which search it is, then a line for each
network. A line that a crash has cut short is left out.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.selection.results import Trial, plain
from xpnet.selection.space import Settings

FORMAT = 1


def settings_key(settings: Settings) -> str:
    """Equal for equal settings, in this process and in another."""
    return json.dumps({k: plain(v) for k, v in settings.items()}, sort_keys=True)


def fingerprint(arrays: Sequence[Any], words: Sequence[Any]) -> str:
    """SHA-256 of arrays and of plain values."""
    digest = hashlib.sha256(repr(words).encode())
    for array in arrays:
        values = np.ascontiguousarray(array)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


class Store:
    """The file of one search.

    Raises:
        ValueError: the file belongs to another search, or is none of ours.
    """

    def __init__(self, path: str | Path, mark: str) -> None:
        self.path, self.lines = Path(path), []
        if self.path.exists() and self.path.stat().st_size:
            self.lines = self._read(mark)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append([{"format": FORMAT, "search": mark}])

    lines: list[dict[str, Any]]

    def _read(self, mark: str) -> list[dict[str, Any]]:
        rows = []
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):  # what a crash has cut short
            with open(self.path, "r+b") as file:
                file.truncate(len(whole))
        for line in whole.splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                raise ValueError(
                    f"{self.path}: expected a file of a search, got another; name a "
                    "new one"
                ) from None
        head = rows[0] if rows and isinstance(rows[0], dict) else {}
        if head.get("format") != FORMAT or head.get("search") != mark:
            raise ValueError(
                f"{self.path}: this file is of another search (other data, folds or "
                "options); name a new one"
            )
        return rows[1:]

    def fill(self, trials: Sequence[Trial]) -> int:
        """Enter what the file holds of these trials; returns how many networks."""
        places = {settings_key(trial.settings): trial for trial in trials}
        found = 0
        for row in self.lines:
            trial = places.get(row["settings"])
            if trial is not None:
                found += 1
                enter(trial, row)
        return found

    def add(self, rows: Sequence[tuple[Trial, dict[str, Any]]]) -> None:
        """Keep the results of these networks."""
        self._append([{"settings": settings_key(t.settings), **row} for t, row in rows])

    def _append(self, rows: Sequence[dict[str, Any]]) -> None:
        with open(self.path, "ab") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
            file.flush()
            os.fsync(file.fileno())


def enter(trial: Trial, row: dict[str, Any]) -> None:
    """Enter one network's result, as a line of the file holds it."""
    part = row["part"]
    trial.scores[part] = row["scores"]
    trial.train_scores[part] = row["train_scores"]
    trial.epochs[part] = row["epochs"]
    if row["error"]:
        trial.errors[part] = row["error"]
