"""Rounds in which rivals take turns, and their medians, spreads and ratios."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from xpnet.benchmarks.answers import Answer

Row = dict[str, Any]


def take_turns(
    names: Iterable[str],
    rounds: int,
    ask: Callable[[str, int], Answer],
    kept: dict[str, str],
) -> dict[str, Row]:
    """A row per rival, from rounds of fresh processes; a failure ends in a note.

    Args:
        names: of the rivals.
        rounds: how often each is asked; the round's number is its seed.
        ask: (rival, seed) -> answer.
        kept: key of an answer -> key of the row's list of such values.
    """
    rows: dict[str, Row] = {name: {} for name in names}
    for seed in range(rounds):
        for name, row in rows.items():
            if "note" in row:
                continue
            answer = ask(name, seed)
            if explain(row, answer):
                continue
            for key, where in kept.items():
                row.setdefault(where, []).append(answer[key])
            row["version"] = answer["version"]
    return rows


def explain(row: Row, answer: Answer) -> bool:
    """Whether the rival failed; the row's note then says why."""
    if "missing" in answer:
        row["note"] = f"not installed: {answer['missing']}"
    elif "failed" in answer:
        row["note"] = f"left out: {answer['failed']}"
    return "note" in row


def spread(rounds: list[float]) -> tuple[float, float]:
    """(median, interquartile range); the range of a single round is 0."""
    if len(rounds) < 2:
        return rounds[0], 0.0
    quarter, middle, three = statistics.quantiles(rounds, n=4, method="inclusive")
    return middle, three - quarter


def ratio(these: list[float], those: list[float]) -> float:
    """The median of the rounds' ratios these / those; rounds are paired by number."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


def add_summaries(rows: dict[str, Row], unit: str) -> None:
    """Median, range and ratios for every row that has rounds and no note, in place.

    Args:
        rows: rival -> row with f"rounds_{unit}"; rows with a note lose theirs.
        unit: "us" or "s".
    """
    key = f"rounds_{unit}"
    for row in rows.values():
        if "note" in row:
            row.pop(key, None)
    ours = rows.get("xpnet", {}).get(key)
    floor = rows.get("products", {}).get(key)
    for row in rows.values():
        rounds = row.get(key)
        if not rounds:
            continue
        row[unit], row[f"iqr_{unit}"] = spread(rounds)
        if ours and len(ours) == len(rounds):
            row["xpnet_over_this"] = ratio(ours, rounds)
        if floor and len(floor) == len(rounds):
            row["over_floor"] = ratio(rounds, floor)


def measured(rows: dict[str, Row]) -> Iterable[tuple[str, Row]]:
    """The rows that have a figure instead of a note."""
    return ((name, row) for name, row in rows.items() if "note" not in row)
