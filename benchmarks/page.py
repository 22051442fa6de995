"""A record as one HTML page: tables and charts, nothing loaded from elsewhere.

matplotlib draws the charts as SVG, whose colours follow the page from light to dark.
Colours are Okabe and Ito's (2008), which the colour-blind tell apart; the floor takes
the colour of the text. Bars carry names, lines have their own markers and dashes.
"""

import io
import math
import re
from dataclasses import dataclass
from html import escape
from typing import Any

from xpnet.benchmarks.record import Record
from xpnet.benchmarks.report import Bars, Chart, Lines, Section, sections
from xpnet.benchmarks.rivals import RIVALS
from xpnet.benchmarks.tables import Row, Table, figure
from xpnet.training.plots import need_matplotlib, new_figure

Dash = tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """How a rival is drawn.

    Attributes:
        short: its name where there is little room.
        color: of bars and lines, on a light and on a dark page alike.
        marker: matplotlib's.
        dash: lengths of strokes and gaps in points; none for a solid line.
    """

    short: str
    color: str
    marker: str = "o"
    dash: Dash = ()


# matplotlib gets these colours; the page replaces them by its own.
TEXT, SOFT, LINE, PANEL = "#010101", "#020202", "#030303", "#040404"
VARIABLES = {TEXT: "text", SOFT: "soft", LINE: "line", PANEL: "panel"}
LOOKS = {
    "xpnet": Look("xpnet", "#D55E00"),
    "xpnet_nojit": Look("xpnet, no jit", "#E69F00", "D", (2, 2)),
    "products": Look("bare products", TEXT, "x", (1, 3)),
    "numpy": Look("NumPy by hand", "#3E8FC4", "s", (6, 3)),
    "torch": Look("PyTorch", "#009E73", "^", (9, 3, 2, 3)),
    "torch_compiled": Look("PyTorch, comp.", "#56B4E9", "^", (3, 3)),
    "jax": Look("JAX", "#CC79A7", "D", (6, 2, 1, 2)),
    "sklearn": Look("scikit-learn", "#C7B42C", "s", (2, 4)),
    "thinc": Look("thinc", "#999999", "x", (8, 4)),
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xpnet",
    "font.size": 11,
    "text.color": TEXT,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": LINE,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
}
WIDTH = 360  # points; about the pixels of a phone, so that text keeps its size there
BAR, THICK, FOOT = 18, 0.7, 44  # height of a row, share that is its bar, the axis
NAMES, FIGURES = 100, 46  # widths beside the bars
LEFT, RIGHT = 72, 14  # margins of a chart of lines
CSS = """
:root { color-scheme: light dark; --ground: #ffffff; --text: #1c1f23; --soft: #59616b;
  --line: #d5d9de; --panel: #f6f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --text: #e8eaed; --soft: #a3abb5; --line: #3a4048;
    --panel: #1d2126; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--ground);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0; }
.soft { color: var(--soft); }
.grid { display: grid; gap: 1rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: .75rem; margin: 0; min-width: 0; }
.card svg.plot { display: block; width: 100%; max-width: 34rem; height: auto; }
svg text { font: 11px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .4rem; text-align: right; border-top: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; }
thead th { border-top: 0; color: var(--soft); vertical-align: bottom; }
tbody th, thead th:first-child, td.note { text-align: left; font-weight: 400; }
td.note { color: var(--soft); overflow-wrap: anywhere; }
tr.ours th, tr.ours td { font-weight: 600; }
tr.ours .soft { font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0;
  font-size: .9rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 30rem) {
  body { padding: .5rem; }
  .card { padding: .5rem; }
  table { font-size: .78rem; }
  th, td { padding: .25rem .2rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; }
}
"""


def page(record: Record) -> str:
    """The whole document.

    Raises:
        ImportError: matplotlib is missing, with the install line.
    """
    date, processor = record["date"], record["machine"]["processor"]
    with need_matplotlib().rc_context(STYLE):
        parts = "\n".join(
            _section(f"s{i}", section) for i, section in enumerate(sections(record))
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>xpnet beside its rivals, {escape(date)}</title>"
        f'<link rel="icon" href="data:,"><style>{CSS}</style></head>\n<body><main>'
        "<h1>xpnet beside its rivals</h1>"
        f'<p class="soft">{escape(date)}, {escape(str(processor))}</p>'
        f"{parts}\n</main></body></html>\n"
    )


def _section(name: str, section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(section.words)}</p>"] if section.words else []
    figures = [_figure(f"{name}-{i}", chart) for i, chart in enumerate(section.charts)]
    cards = [f'<div class="card">{_table(table)}</div>' for table in section.tables]
    for group in (figures, cards):
        parts += ['<div class="grid">', *group, "</div>"] if group else []
    if section.facts:
        pairs = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in section.facts)
        parts.append(f"<dl>{''.join(pairs)}</dl>")
    return "\n".join(parts)


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


# Charts.


def look(name: str) -> Look:
    """How the rival `name` is drawn; a rival of another version is grey."""
    return LOOKS.get(name, Look(RIVALS.get(name, name), "#999999"))


def _figure(name: str, chart: Chart) -> str:
    draw = _draw_bars if isinstance(chart, Bars) else _draw_lines
    fig, words = draw(chart)  # type: ignore[arg-type]
    return (
        f'<figure class="card"><h3>{escape(chart.title)}</h3>'
        f"{_svg(fig, name, chart.title, words)}</figure>"
    )


def _svg(fig: Any, name: str, title: str, words: str) -> str:
    """The figure as an SVG element with ids of its own and a text alternative."""
    file = io.StringIO()
    fig.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    opening, _, body = file.getvalue().partition("<svg ")[2].partition(">")
    for pattern, replacement in (
        (r"(?s)<metadata>.*?</metadata>|<style .*?</style>", ""),
        (r" font-family: [^;\"]*;", ""),  # the page's own
        (r' id="', f' id="{name}-'),
        (r'(url\(|href=")#', rf"\1#{name}-"),
        *((color, f"var(--{variable})") for color, variable in VARIABLES.items()),
        ("xlink:", ""),
    ):
        body = re.sub(pattern, replacement, body)
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    return (
        f'<svg class="plot" {box} role="img" '
        f'aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-words">{escape(words)}</desc>{body}'
    )


def _axes(height: float, left: float, right: float, bottom: float) -> tuple[Any, Any]:
    """A figure of this height, and axes with these margins, all in points."""
    fig = new_figure(WIDTH / 72, height / 72)
    fig.set_layout_engine("none")
    size = 1 - (left + right) / WIDTH, 1 - (bottom + 8) / height
    axes = fig.add_axes((left / WIDTH, bottom / height, *size))
    axes.tick_params(length=0)
    return fig, axes


def _round_ticks(axis: Any, low: float, high: float, most: int = 6) -> None:
    """1, 2, 5, 10, ... on a logarithmic axis; 1, 10, ... if there would be too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [s * 10.0**p for p in powers for s in steps]
        ticks = [tick for tick in ticks if low <= tick * 1.0001 <= high * 1.0002]
        if len(ticks) <= most:
            break
    axis.set_ticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _draw_bars(chart: Bars) -> tuple[Any, str]:
    """The figure, and what it shows in words."""
    rows: list[tuple[str, float | None]] = []  # (heading or rival, value)
    for heading, group in chart.groups.items():
        rows += [(heading, None), *group]
    fig, axes = _axes(BAR * len(rows) + FOOT + 8, NAMES, FIGURES, FOOT)
    start = 1.0 if chart.log else 0.0
    left = -NAMES / (WIDTH - NAMES - FIGURES)  # of the picture, in widths of the axes
    box = {"facecolor": PANEL, "edgecolor": "none", "pad": 1}
    bars = {at: value for at, (_, value) in enumerate(rows) if value is not None}
    for at, (name, value) in enumerate(rows):
        if value is None:
            style = {"weight": "bold", "va": "center", "bbox": box}
            axes.text(left, at, name, transform=axes.get_yaxis_transform(), **style)
            continue
        axes.barh(at, value - start, THICK, start, color=look(name).color)
        offset = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(figure(value), (max(value, start), at), **offset)
    low, high = min(bars.values()), max(bars.values())
    if chart.log:  # there is room for a bar on either side, even if all are near 1
        low, high = (low / 1.1 if low < 1.0 else 1.0), max(high, 2.0)
        axes.set_xscale("log")
        _round_ticks(axes.xaxis, low, high)
    axes.set_xlim(low if chart.log else 0.0, high)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(list(bars), [look(rows[at][0]).short for at in bars], color=TEXT)
    axes.set_xlabel(chart.axis)
    axes.axvline(start, color=SOFT, linewidth=1.0)
    axes.grid(visible=False, axis="y")
    axes.spines[["left", "bottom"]].set_visible(False)
    words = "; ".join(
        f"{heading}: " + ", ".join(f"{look(r).short} {figure(v)}" for r, v in group)
        for heading, group in chart.groups.items()
    )
    return fig, f"{chart.axis}. {words}."


def _draw_lines(chart: Lines) -> tuple[Any, str]:
    """The figure, and what it shows in words."""
    keys = math.ceil(len(chart.series) / 2)
    fig, axes = _axes(280 + 18 * keys, LEFT, RIGHT, 44 + 18 * keys)
    axes.set(xscale="log", yscale="log", xlabel=chart.axes[0])
    axes.set_ylabel(chart.axes[1], rotation_mode="anchor")
    for rival, series in chart.series.items():
        style = look(rival)
        dash = (0, style.dash) if style.dash else "-"
        drawn = {"color": style.color, "marker": style.marker, "label": style.short}
        axes.plot(*zip(*series, strict=True), linestyle=dash, **drawn)
    xs, ys = zip(*(p for series in chart.series.values() for p in series), strict=True)
    low, high = min(ys) / 1.15, max(ys) * 1.15
    axes.set_ylim(low, high)
    _round_ticks(axes.xaxis, min(xs), max(xs), 8)
    _round_ticks(axes.yaxis, low, high, 10)
    fig.legend(loc="lower center", ncols=2, handlelength=3.0, fontsize=11)
    words = "; ".join(
        f"{look(rival).short}: " + ", ".join(f"{figure(y)} at {x:g}" for x, y in series)
        for rival, series in chart.series.items()
    )
    return fig, f"{chart.axes[1]} against {chart.axes[0]}. {words}."
