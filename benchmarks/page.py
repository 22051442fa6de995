"""A record as one HTML page: tables and plots, nothing loaded from elsewhere."""

from collections.abc import Iterable
from html import escape
from typing import Any

from xpnet.benchmarks.bars import Group, bars
from xpnet.benchmarks.lines import Series, lines
from xpnet.benchmarks.record import Record
from xpnet.benchmarks.style import CSS
from xpnet.benchmarks.summary import measured
from xpnet.benchmarks.tables import (
    Row,
    Table,
    breakdown_table,
    race_table,
    race_title,
    sweep_tables,
    sweep_title,
    threads_of,
    training_table,
)
from xpnet.benchmarks.words import (
    BREAKDOWN,
    COLD,
    METHOD,
    REACHED,
    RULES,
    STEPS,
    facts,
    method,
    swept,
    without_jit,
)

Answer = dict[str, Any]


def page(record: Record) -> str:
    """The whole document."""
    parts = [
        *_steps(record["results"]),
        *_breakdowns(record["breakdown"]),
        *_sweeps(record["sweep"]),
        *_trainings("From process start to process end", COLD, record["cold"], "cold"),
        *_trainings(
            "To 97% validation accuracy", REACHED, record["accuracy"], "accuracy"
        ),
        f"<h2>How this was measured</h2><p>{escape(METHOD)}</p>",
        _list(method(record)),
        "<h2>The machine</h2>",
        _list(facts(record)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>xpnet beside its rivals, {escape(record['date'])}</title>"
        f'<link rel="icon" href="data:,"><style>{CSS}</style></head>\n<body><main>'
        f"<h1>xpnet beside its rivals</h1>{_subtitle(record)}"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _subtitle(record: Record) -> str:
    processor = escape(str(record["machine"]["processor"]))
    return f'<p class="soft">{escape(record["date"])}, {processor}</p>'


def _steps(results: list[Answer]) -> Iterable[str]:
    """Ratio bars and tables of the race, by update rule and number of threads."""
    if not results:
        return
    yield f"<h2>One training step</h2><p>{escape(STEPS)}</p>"
    kinds = dict.fromkeys((r["optimizer"], r["threads"]) for r in results)
    yield '<div class="grid wide">'
    for i, (rule, threads) in enumerate(kinds):
        chosen = [
            r for r in results if (r["optimizer"], r["threads"]) == (rule, threads)
        ]
        what = f"{RULES[rule]}, {threads_of(chosen[0])}"
        yield from _ratio_bars(f"step{i}", what, chosen)
    yield '</div><h3 style="margin-top:1.5rem">Every figure</h3><div class="grid wide">'
    yield from (_card(_table(race_table(result))) for result in results)
    yield "</div>"


def _ratio_bars(name: str, what: str, results: list[Answer]) -> Iterable[str]:
    ours, floor = [], []
    for result in results:
        title, rows = race_title(result).rsplit(", ", 2)[0], result["rivals"]
        times = [
            (n, 1 / r["xpnet_over_this"])
            for n, r in measured(rows)
            if r.get("xpnet_over_this") and n not in ("xpnet", "products")
        ]
        above = [
            (n, r["over_floor"])
            for n, r in measured(rows)
            if r.get("over_floor") and n != "products"
        ]
        ours += [Group(title, times)] if times else []
        floor += [Group(title, above)] if above else []
    if ours:
        heading = f"A rival's time / xpnet's time: {what}"
        axis = "times xpnet's time (right of 1: xpnet is faster)"
        yield _figure(heading, bars(f"{name}-ratio", heading, axis, ours))
    if floor:
        heading = f"Distance to the floor: {what}"
        axis = "times the time of the bare products"
        yield _figure(heading, bars(f"{name}-floor", heading, axis, floor))


def _breakdowns(results: list[Answer]) -> Iterable[str]:
    if not results:
        return
    words = f"<p>{escape(BREAKDOWN)}</p><p>{escape(without_jit(results))}</p>"
    yield f"<h2>Where the time of a step goes</h2>{words}"
    yield '<div class="grid wide">'
    yield from (_card(_table(breakdown_table(result))) for result in results)
    yield "</div>"


def _sweeps(results: list[Answer]) -> Iterable[str]:
    if not results:
        return
    yield f"<h2>Step time against width and batch</h2><p>{escape(swept(results))}</p>"
    yield '<div class="grid wide">'
    for axis in dict.fromkeys(r["axis"] for r in results):
        chosen = [r for r in results if r["axis"] == axis]
        names = dict.fromkeys(n for r in chosen for n, _ in measured(r["rivals"]))
        series = [
            Series(
                name,
                [
                    (r["value"], r["rivals"][name]["us"])
                    for r in chosen
                    if "us" in r["rivals"].get(name, {})
                ],
            )
            for name in names
        ]
        if series:
            unit = "units of the hidden layer" if axis == "width" else "samples a batch"
            labels = (f"{axis}, {unit}", "µs a step")
            heading = sweep_title(chosen)
            yield _figure(heading, lines(f"sweep-{axis}", heading, labels, series))
    yield from (_card(_table(table)) for table in sweep_tables(results))
    yield "</div>"


def _trainings(
    title: str, words: str, results: list[Answer], name: str
) -> Iterable[str]:
    if not results:
        return
    yield f"<h2>{escape(title)}</h2><p>{escape(words)}</p>"
    yield '<div class="grid wide">'
    groups = []
    for result in results:
        rows = [(n, r["s"]) for n, r in measured(result["rivals"])]
        groups += [Group(result["what"], rows)] if rows else []
    if groups:
        picture = bars(name, title, "seconds", groups, log=False)
        yield _figure("Seconds", picture)
    yield from (_card(_table(training_table(result))) for result in results)
    yield "</div>"


def _figure(heading: str, picture: str) -> str:
    return f'<figure class="card"><h3>{escape(heading)}</h3>{picture}</figure>'


def _card(content: str) -> str:
    return f'<div class="card">{content}</div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in table.columns)
    rows = "".join(_row(row, len(table.columns) - 1) for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3><div class="scroll"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(row: Row, columns: int) -> str:
    ours = ' class="ours"' if row.name == "xpnet" else ""
    head = f'<th scope="row">{escape(row.label)}'
    if not row.cells:
        note = f'<td class="note" colspan="{columns}">{escape(row.note)}</td>'
        return f"<tr{ours}>{head}</th>{note}</tr>"
    note = f'<br><span class="soft">{escape(row.note)}</span>' if row.note else ""
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row.cells)
    return f"<tr{ours}>{head}{note}</th>{cells}</tr>"


def _list(rows: list[tuple[str, str]]) -> str:
    items = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows)
    return f"<dl>{''.join(items)}</dl>"
