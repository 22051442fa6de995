"""Medians, spreads and ratios of interleaved rounds."""

import statistics
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def spread(rounds: list[float]) -> tuple[float, float]:
    """(median, interquartile range); the range of a single round is 0."""
    if len(rounds) < 2:
        return rounds[0], 0.0
    quarter, middle, three = statistics.quantiles(rounds, n=4, method="inclusive")
    return middle, three - quarter


def ratio(these: list[float], those: list[float]) -> float:
    """The median of the rounds' ratios these / those, equal rounds together."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


def add_summaries(rows: dict[str, Row], unit: str) -> None:
    """Median, range and ratios for every row that has rounds, in place.

    Args:
        rows: rival -> row with f"rounds_{unit}".
        unit: "us" or "s".
    """
    key = f"rounds_{unit}"
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
    """The rows that have a figure, rather than a note that says why not."""
    return ((name, row) for name, row in rows.items() if "note" not in row)
