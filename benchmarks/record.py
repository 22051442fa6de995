"""A record: everything that was measured, and on what, as one JSON object.

{"format": 1, "date", "command", "load_before", "machine", "overrides", "timing",
 "results": [...], "sweep": [...], "cold": [...], "accuracy": [...]}

Older records hold a part "breakdown" too, which is kept and not shown.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xpnet.benchmarks.process import run_once
from xpnet.common.machine import overrides

Record = dict[str, Any]
FORMAT = 1
PARTS = ("results", "sweep", "cold", "accuracy")
HEAD = ("date", "command", "load_before", "machine", "overrides", "timing")


@dataclass(frozen=True)
class Timing:
    """The same for all rivals.

    Attributes:
        warm_up: seconds that a rival runs before it is timed.
        rounds: how often it is timed.
        seconds: of one rival in one round.
    """

    warm_up: float = 3.0
    rounds: int = 9
    seconds: float = 0.3

    def __post_init__(self) -> None:
        if not 0.0 <= self.warm_up < float("inf"):
            raise ValueError(f"--warm-up: expected seconds >= 0, got {self.warm_up}")
        if self.rounds < 1:
            raise ValueError(f"--rounds: expected at least 1, got {self.rounds}")
        if not 0.0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds: expected seconds > 0, got {self.seconds}")

    def estimate(self, rivals: int, cases: int) -> float:
        """Seconds that warming up and timing take, at least."""
        return rivals * cases * (self.warm_up + self.rounds * self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def new_record(command: str, how: Timing, threads: int) -> Record:
    """The record before anything is measured."""
    return {
        "format": FORMAT,
        "date": time.strftime("%Y-%m-%d"),
        "command": command,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "machine": facts_of_workers(threads),
        "overrides": {"set": overrides(), "removed_for_the_workers": True},
        "timing": how.to_dict(),
        **{part: [] for part in PARTS},
    }


def facts_of_workers(threads: int) -> dict[str, Any]:
    """The facts as the rivals' processes see them, without overrides.

    Raises:
        RuntimeError: the process failed.
    """
    found = run_once(threads, "machine")
    for kind in ("failed", "missing"):
        if kind in found:
            raise RuntimeError(f"no facts about the machine: {found[kind]}")
    del found["wall"]
    return found


def write(record: Record, file: Path) -> None:
    """Write the record as indented JSON."""
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(file: str | Path) -> Record:
    """The record in `file`.

    Raises:
        ValueError: the file holds something else.
    """
    expected = f"{file}: expected a record that `xpnet bench --json FILE` wrote"
    try:
        record = json.loads(Path(file).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{expected}, got no JSON ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{expected}, got no object with format {FORMAT}")
    missing = [key for key in (*HEAD, *PARTS) if key not in record]
    if missing:
        raise ValueError(f"{expected}, got one without {', '.join(missing)}")
    return record
