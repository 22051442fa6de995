"""A record in words, tables and charts; docs/benchmarks.md is made from one.

    python -m xpnet.benchmarks.report RECORD > docs/benchmarks.md

No figure is typed by hand, and all words about the measurement come from the record.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpnet.benchmarks import estimators, selection
from xpnet.benchmarks.answers import Answer
from xpnet.benchmarks.record import Record, read
from xpnet.benchmarks.tables import (
    RULES,
    Table,
    measured,
    race_table,
    race_title,
    sweep_tables,
    sweep_title,
    threads_of,
    training_table,
)

STEPS = (
    "The time of one update (forward, backward, update rule) on one fixed batch. The "
    "floor is the time of the step's matrix products alone, into arrays that are "
    "allocated beforehand. xpnet / this below 1 means that xpnet is faster."
)
COLD = (
    "Wall seconds of a whole process: starting Python, importing, loading the data, "
    "training, ending. Every round is a fresh process."
)
REACHED = (
    "Seconds from building the network to the first epoch after which 97% of the "
    "validation digits are classified correctly, with Adam at 0.001; compiling counts, "
    "imports do not. Every round has its own seed, and every rival its own initial "
    "weights and order, so the number of epochs differs."
)
METHOD = (
    "Every rival runs in its own process, with float32 and the same number of threads, "
    "in interleaved rounds: one rival after the other, round after round. Figures are "
    "medians over the rounds, IQR is the interquartile range, ratios are medians of "
    "the ratios within a round. Before a rival is timed on a net it starts from the "
    "same weights as hand-written NumPy and must reach the same loss after 20 steps, "
    "to 0.0001; then it warms up for as long as all others."
)
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bars:
    """A chart of horizontal bars in groups.

    Attributes:
        title: what it shows.
        axis: the label of the axis, with its unit.
        groups: heading -> (rival, value) rows, values above 0.
        log: bars start at 1 on a logarithmic axis; otherwise at 0.
    """

    title: str
    axis: str
    groups: dict[str, list[tuple[str, float]]]
    log: bool = True


@dataclass(frozen=True)
class Lines:
    """A chart of lines on two logarithmic axes.

    Attributes:
        title: what it shows.
        axes: the labels of x and y, with units.
        series: rival -> (x, y) points, x rising.
    """

    title: str
    axes: tuple[str, str]
    series: dict[str, list[tuple[float, float]]]


Chart = Bars | Lines


@dataclass(frozen=True)
class Section:
    """A part of the report: words, charts, tables and (name, value) facts."""

    title: str
    words: str = ""
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    facts: Pairs = ()


def sections(record: Record) -> Iterator[Section]:
    """The report of a record; a part that was not measured is left out."""
    results, sweep = record["results"], record["sweep"]
    if results:
        tables = [race_table(result) for result in results]
        yield Section("One training step", STEPS, _race_charts(results), tables)
    if sweep:
        how = sweep[0]["timing"]
        words = (
            f"Measured like the nets above, after {how['warm_up']:g} s of warm-up in "
            f"{how['rounds']} rounds of {how['seconds']:g} s."
        )
        title = "Step time against width and batch"
        yield Section(title, words, _sweep_charts(sweep), sweep_tables(sweep))
    for title, words, part in (
        ("From process start to process end", COLD, "cold"),
        ("To 97% validation accuracy", REACHED, "accuracy"),
    ):
        if record[part]:
            tables = [training_table(result) for result in record[part]]
            charts = _training_charts(title, record[part])
            yield Section(title, words, charts, tables)
    for title, part, table in (
        ("A grid search with cross-validation", "selection", selection.table),
        ("`fit` of estimators", "estimators", estimators.table),
    ):
        if tables := [table(result) for result in record.get(part, [])]:
            yield Section(title, tables=tables)
    yield Section("How this was measured", METHOD, facts=_method(record))
    yield Section("The machine", facts=_machine(record))


def _race_charts(results: list[Answer]) -> list[Chart]:
    """Two charts of ratios per update rule and number of threads."""
    kinds: dict[str, list[Answer]] = {}
    for result in results:
        kind = f"{RULES[result['optimizer']]}, {threads_of(result)}"
        kinds.setdefault(kind, []).append(result)
    charts: list[Chart] = []
    for kind, chosen in kinds.items():
        rivals, floors = {}, {}
        for result in chosen:
            net, rows = race_title(result).rsplit(", ", 2)[0], result["rivals"]
            rivals[net] = [
                (name, 1 / row["xpnet_over_this"])
                for name, row in measured(rows)
                if row.get("xpnet_over_this") and name not in ("xpnet", "products")
            ]
            floors[net] = [
                (name, row["over_floor"])
                for name, row in measured(rows)
                if row.get("over_floor") and name != "products"
            ]
        axis = "times xpnet's time (right of 1: xpnet is faster)"
        charts.append(Bars(f"A rival's time / xpnet's time: {kind}", axis, rivals))
        axis = "times the time of the bare products"
        charts.append(Bars(f"Distance to the floor: {kind}", axis, floors))
    return _drawable(charts)


def _sweep_charts(results: list[Answer]) -> list[Chart]:
    """A chart per axis."""
    units = {"width": "units of the hidden layer", "batch": "samples per batch"}
    charts: list[Chart] = []
    for axis in dict.fromkeys(r["axis"] for r in results):
        chosen = [r for r in results if r["axis"] == axis]
        series: dict[str, list[tuple[float, float]]] = {}
        for result in chosen:
            for name, row in measured(result["rivals"]):
                series.setdefault(name, []).append((result["value"], row["us"]))
        labels = (f"{axis}, {units[axis]}", "µs per step")
        charts.append(Lines(sweep_title(chosen), labels, series))
    return _drawable(charts)


def _training_charts(title: str, results: list[Answer]) -> list[Chart]:
    groups = {
        result["what"]: [(n, row["s"]) for n, row in measured(result["rivals"])]
        for result in results
    }
    return _drawable([Bars(f"{title}: seconds", "seconds", groups, log=False)])


def _drawable(charts: list[Chart]) -> list[Chart]:
    """The charts without empty groups, and without those that are empty."""
    found: list[Chart] = []
    for chart in charts:
        if isinstance(chart, Lines):
            found += [chart] if chart.series else []
        elif groups := {k: rows for k, rows in chart.groups.items() if rows}:
            found.append(Bars(chart.title, chart.axis, groups, chart.log))
    return found


def _method(record: Record) -> Pairs:
    """What was asked for, and the load and the environment before."""
    how, forced = record["timing"], record["overrides"]["set"]
    named = ", ".join(f"{k}={v}" for k, v in forced.items()) or "none set"
    removed = record["overrides"]["removed_for_the_workers"]
    note = "; the rivals' processes ran without them" if forced and removed else ""
    load = record["load_before"]
    return (
        ("date", record["date"]),
        ("command", record["command"]),
        ("load before", "unknown" if load is None else f"{load:.2f} processes"),
        ("warm-up", f"{how['warm_up']:g} s per rival and net"),
        ("rounds", f"{how['rounds']} of {how['seconds']:g} s per rival and net"),
        ("BLAS overrides", named + note),
    )


def _machine(record: Record) -> Pairs:
    """The machine, and the version of every rival."""
    machine = record["machine"]
    rows = [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("system", f"{machine['system']}, Python {machine['python']}"),
    ]
    for blas in machine["blas"]:
        words = f"{blas['name']} {blas['version']}, core type {blas['core']}"
        rows.append(("BLAS", f"{words}, {blas['threads']} threads"))
    if "cuda" in machine:
        cuda = machine["cuda"]
        rows.append(("GPU", f"{cuda['name']}, CUDA {cuda['runtime']}"))
        rows.append(("CuPy", f"{cuda['cupy']}, TF32 {'on' if cuda['tf32'] else 'off'}"))
    else:
        rows.append(("GPU", "none used"))
    versions: dict[str, Any] = dict(machine["versions"])
    for result in (*record["results"], *record["sweep"]):
        for row in result["rivals"].values():
            versions |= row.get("versions", {})
    return *rows, ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()))


def report(record: Record, source: str) -> str:
    """The record as Markdown.

    Args:
        record: what `xpnet bench --json` wrote.
        source: the name of its file.
    """
    parts = [
        "# xpnet beside its rivals",
        f"Generated by `python -m xpnet.benchmarks.report` from `{source}`; change "
        "nothing here by hand.",
    ]
    for section in sections(record):
        parts += [f"## {section.title}", *([section.words] if section.words else [])]
        parts += [table.markdown() for table in section.tables]
        if section.facts:
            parts.append("\n".join(f"- {k}: {v}" for k, v in section.facts))
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the report of a record."""
    parser = argparse.ArgumentParser(description="A record as Markdown.")
    parser.add_argument("record", metavar="RECORD", help="benchmarks/results/*.json")
    file = parser.parse_args(arguments).record
    try:
        sys.stdout.write(report(read(file), Path(file).name))
    except (ValueError, OSError) as error:
        print(f"report: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
