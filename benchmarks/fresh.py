"""Rounds of fresh processes: each answers with one JSON object, rows take it in."""

import json
import subprocess
import sys
from typing import Any

from xpnet.benchmarks.machine import clean_environment
from xpnet.benchmarks.summary import add_summaries

Answer = dict[str, Any]


def ask(threads: int, module: str, *arguments: str) -> Answer:
    """What `python -m xpnet.benchmarks.MODULE ARGUMENTS` prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"xpnet.benchmarks.{module}", *arguments],
        env=clean_environment(threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if not done.stdout:
        return {"failed": f"the process ended with status {done.returncode}"}
    answer: Answer = json.loads(done.stdout)
    return answer


def note(row: Answer, answer: Answer) -> bool:
    """Whether `answer` is none: then it becomes the row's note."""
    if "missing" in answer:
        row["note"] = f"not installed: {answer['missing']}"
    elif "failed" in answer:
        row["note"] = f"left out: {answer['failed']}"
    return "note" in row


def finish(rows: dict[str, Answer]) -> None:
    """Medians and ratios of the rows that ran to the end; the others have no times."""
    for row in rows.values():
        if "note" in row:
            row.pop("rounds_s", None)
    add_summaries(rows, "s")
