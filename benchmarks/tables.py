"""Rounds of rivals, their medians, spreads and ratios, and tables of them."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.rivals import RIVALS

RULES = {"sgd": "SGD", "adam": "Adam"}
STEP = ("µs a step", "IQR", "xpnet / this", "this / floor")


@dataclass(frozen=True)
class Row:
    """A rival's cells, or a note why there are none.

    Attributes:
        name: key of the rival; "" if the row is about something else.
        label: what the reader sees.
        cells: one per column after the label.
        note: stands in place of the cells, or beside them.
    """

    name: str
    label: str
    cells: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns (the label's first) and rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The table for a terminal: labels left, figures right."""
        head = Row("", self.columns[0], self.columns[1:])
        full = [row for row in (head, *self.rows) if row.cells]
        first = max(len(row.label) for row in (head, *self.rows))
        count = len(self.columns) - 1
        widths = [max(len(row.cells[i]) for row in full) for i in range(count)]
        lines = [self.title]
        for row in (head, *self.rows):
            cells = [f"{c:>{w}}" for c, w in zip(row.cells, widths, strict=False)]
            parts = [f"{row.label:<{first}}", *cells, row.note]
            lines.append("  " + "  ".join(parts).rstrip())
        return "\n".join(lines)

    def markdown(self, level: int = 3) -> str:
        """A heading and a Markdown table."""
        lines = [f"{'#' * level} {self.title}", "", _line(self.columns)]
        lines.append("|---|" + "---:|" * (len(self.columns) - 1))
        for row in self.rows:
            cells = list(row.cells) or [""] * (len(self.columns) - 1)
            if row.note:
                cells[-1] = f"{cells[-1]} {row.note}".strip()
            lines.append(_line([row.label, *cells]))
        return "\n".join(lines)


def _line(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def figure(value: float) -> str:
    """Three digits or more: "0.0120", "4.56", "78.9", "12,345"."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value < 1 else f"{value:.{1 if value >= 10 else 2}f}"


def race_title(result: Answer) -> str:
    """ "784-128-10, batch 128, Adam, 2 threads"."""
    sizes = "-".join(map(str, result["sizes"]))
    rule = RULES[result["optimizer"]]
    return f"{sizes}, batch {result['batch']}, {rule}, {threads_of(result)}"


def threads_of(result: Answer) -> str:
    """ "1 thread", "2 threads"."""
    return f"{result['threads']} thread{'s' if result['threads'] != 1 else ''}"


def race_table(result: Answer) -> Table:
    """A row per rival: the step's time, its spread, and the two ratios."""
    rows = []
    for name, row in result["rivals"].items():
        label = RIVALS.get(name, name)
        if "note" in row:
            rows.append(Row(name, label, (), row["note"]))
            continue
        cells = (
            figure(row["us"]),
            figure(row["iqr_us"]),
            _ratio(row, "xpnet_over_this"),
            _ratio(row, "over_floor"),
        )
        slow = row.get("state", "").endswith("not compiled") and name == "xpnet"
        rows.append(Row(name, label, cells, row["state"] if slow else ""))
    return Table(race_title(result), ("", *STEP), tuple(rows))


def _ratio(row: Answer, key: str) -> str:
    return figure(row[key]) if key in row else ""


def inverse(row: Answer) -> str:
    """The rival's time over xpnet's."""
    ratio = row.get("xpnet_over_this")
    return f"{1.0 / ratio:.1f}" if ratio else ""


def sweep_tables(results: list[Answer]) -> list[Table]:
    """µs per step: a table per axis, a row per width or batch, a column per rival."""
    tables = []
    for axis in dict.fromkeys(r["axis"] for r in results):
        chosen = [r for r in results if r["axis"] == axis]
        names = list(chosen[0]["rivals"])
        rows = []
        for result in chosen:
            given = result["rivals"]
            cells = [figure(given[n]["us"]) if "us" in given[n] else "-" for n in names]
            rows.append(Row("", str(result["value"]), tuple(cells)))
        columns = (axis, *(RIVALS.get(n, n) for n in names))
        tables.append(Table(sweep_title(chosen), columns, tuple(rows)))
    return tables


def sweep_title(results: list[Answer]) -> str:
    """What varies, and what stays the same."""
    net = (
        f"hidden width w of 784-w-10, batch {results[0]['batch']}"
        if results[0]["axis"] == "width"
        else f"batch, {'-'.join(map(str, results[0]['sizes']))}"
    )
    rule = RULES[results[0]["optimizer"]]
    return f"µs a step against {net}, {rule}, {threads_of(results[0])}"


def training_table(result: Answer) -> Table:
    """A row per rival: seconds, their spread, ratio, epochs and accuracy."""
    rows = []
    for name, row in result["rivals"].items():
        label = RIVALS.get(name, name).split(",")[0]
        if "note" in row:
            rows.append(Row(name, label, (), row["note"]))
            continue
        cells = (
            f"{row['s']:.3f}",
            f"{row['iqr_s']:.3f}",
            _ratio(row, "xpnet_over_this"),
            f"{statistics.median(row['epochs']):g}",
            f"{100 * statistics.median(row['accuracy']):.1f}%",
        )
        rows.append(Row(name, label, cells))
    columns = ("", "seconds", "IQR", "xpnet / this", "epochs", "accuracy")
    rounds = max(len(row.get("rounds_s", ())) for row in result["rivals"].values())
    title = f"{result['what']}, {threads_of(result)}, {rounds} rounds"
    return Table(title, columns, tuple(rows))


def take_turns(
    names: Iterable[str],
    rounds: int,
    ask: Callable[[str, int], Answer],
    kept: dict[str, str],
) -> dict[str, Answer]:
    """A row per rival, from rounds of fresh processes; a failure ends in a note.

    Args:
        names: of the rivals.
        rounds: how often each is asked; the round's number is its seed.
        ask: (rival, seed) -> answer.
        kept: key of an answer -> key of the row's list of such values.
    """
    rows: dict[str, Answer] = {name: {} for name in names}
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


def explain(row: Answer, answer: Answer) -> bool:
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


def add_summaries(rows: dict[str, Answer], unit: str) -> None:
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


def measured(rows: dict[str, Answer]) -> Iterable[tuple[str, Answer]]:
    """The rows that have a figure instead of a note."""
    return ((name, row) for name, row in rows.items() if "note" not in row)
