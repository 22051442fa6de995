"""A record of a check in words and tables, for a terminal."""

from collections import Counter
from typing import Any

from xpnet.benchmarks.gpu.contest import TIMES
from xpnet.benchmarks.gpu.verdicts import OK, Line
from xpnet.benchmarks.tables import Row, Table, figure

Facts = dict[str, Any]
# Figures that have a column, with its heading.
COLUMNS = {
    "gpu_us": "GPU µs",
    "graph_gpu_us": "graph of 1, GPU µs",
    "graph_enqueue_us": "its launch, host µs",
    "node_us": "a node, µs",
    "enqueue_us": "host µs",
    "GB_per_s": "GB/s",
    "TFLOP_per_s": "TFLOP/s",
}
RACE = ("GPU µs", "host µs", "all µs", "times as long", "nodes")


def head_text(record: Facts) -> str:
    """The device and the versions."""
    device, machine = record["device"], record["machine"]
    versions = {**machine["versions"], **machine["libraries"]}
    gib = f"{device['memory'] / 2**30:.0f} GiB, " if "memory" in device else ""
    clocks = record["clocks"]["before"]
    now = ", ".join(f"{k} {v}" for k, v in clocks.items())
    return (
        f"{device['device']}: {device['name']}, {device['architecture']}, {gib}"
        f"strict {device['precision']}\n"
        f"{', '.join(f'{k} {v}' for k, v in versions.items())}\n"
        f"{now or 'nvidia-smi reports no clocks'}"
    )


def part_text(part: Facts) -> str:
    """A part: its verdicts counted, those other than "ok" in full, its figures."""
    counts = Counter(line["verdict"] for line in part["lines"])
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    lines = [f"\n{part['title']}: {words or 'nothing'} ({part['seconds']:.0f} s)"]
    worst = [
        line["figures"]["share_of_bound"]
        for line in part["lines"]
        if "share_of_bound" in line.get("figures", {})
    ]
    if worst:
        lines.append(f"  the largest difference is {max(worst):.3f} of its bound")
    lines += [
        f"  {line['verdict']}: {line['name']}: {line['note']}"
        for line in part["lines"]
        if line["verdict"] != OK
    ]
    return "\n".join([*lines, *_figures(part["lines"])])


def _figures(lines: list[Facts]) -> list[str]:
    """A table of the figures that have a column, if there are any."""
    timed = [line for line in lines if COLUMNS.keys() & line.get("figures", {}).keys()]
    if not timed:
        return []
    keys = [k for k in COLUMNS if any(k in line["figures"] for line in timed)]
    rows = [
        Row(
            "",
            line["name"],
            tuple(_cell(line["figures"].get(key)) for key in keys),
        )
        for line in timed
    ]
    table = Table("", ("", *(COLUMNS[key] for key in keys)), tuple(rows))
    return [table.text().lstrip("\n")]


def _cell(value: float | None) -> str:
    return "" if value is None else figure(value)


def contest_text(lines: list[Line]) -> str:
    """The rivals on one net; the fastest way of xpnet counts as 1."""
    net = lines[0].name.partition(": ")[0]
    timed = {line.name.partition(": ")[2]: line for line in lines}
    own = [
        line.figures["gpu_us"]
        for name, line in timed.items()
        if name.startswith("xpnet") and line.verdict == OK
    ]
    rows = []
    for name, line in timed.items():
        if line.verdict != OK:
            rows.append(Row("", name, (), f"{line.verdict}: {line.note}"))
            continue
        cells = [figure(line.figures[key]) for key in TIMES]
        ratio = figure(line.figures["gpu_us"] / min(own)) if own else ""
        nodes = str(line.figures.get("nodes", ""))
        rows.append(Row("", name, (*cells, ratio, nodes)))
    if not any(row.cells for row in rows):
        return "\n".join([f"\n{net}", *(f"  {row.label}: {row.note}" for row in rows)])
    title = f"\n{net}, Adam: microseconds a step"
    return Table(title, ("", *RACE), tuple(rows)).text()


def tail_text(record: Facts) -> str:
    """The verdict."""
    lines = [line for part in record["parts"] for line in part["lines"]]
    counts = Counter(line["verdict"] for line in lines)
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return f"\n{record['verdict']}: {words}, in {record['seconds']:.0f} s"
