"""Horizontal bars in groups, on a logarithmic scale around 1 or a linear one from 0."""

from dataclasses import dataclass

from xpnet.benchmarks.style import look
from xpnet.benchmarks.svg import WIDTH, Scale, frame, text
from xpnet.benchmarks.tables import figure

LEFT, RIGHT = 96, WIDTH - 44  # the bars' room; names before it, figures after
LINE, HEAD, FOOT = 16, 22, 40


@dataclass(frozen=True)
class Group:
    """Bars that belong together: a heading, and (rival, value) rows."""

    title: str
    rows: list[tuple[str, float]]


def bars(
    name: str, title: str, axis: str, groups: list[Group], log: bool = True
) -> str:
    """The picture.

    Args:
        name: an id that no other plot of the page has.
        title: what it shows.
        axis: the label of the axis, with its unit.
        groups: values above 0.
        log: bars start at 1 and go both ways; else they start at 0.
    """
    values = [v for group in groups for _, v in group.rows]
    scale = _scale(values, log)
    height = FOOT + sum(HEAD + LINE * len(group.rows) for group in groups)
    body = _axis(scale, axis, height - FOOT)
    y = 0.0
    for group in groups:
        body.append(text(0, y + 15, group.title, kind="strong"))
        y += HEAD
        body += _grid(scale, y, y + LINE * len(group.rows))
        for rival, value in group.rows:
            body.append(_bar(scale, rival, value, y))
            y += LINE
    words = "; ".join(_words(group) for group in groups)
    return frame(name, height, title, f"{axis}. {words}.", body)


def _scale(values: list[float], log: bool) -> Scale:
    if not log:
        return Scale(0.0, max(values), LEFT, RIGHT, False)
    # Room for a bar of its own on either side, also where all values are near 1.
    low, high = min(*values, 1.0), max(*values, 2.0)
    return Scale(low / 1.1 if low < 1.0 else 1.0, high, LEFT, RIGHT)


def _axis(scale: Scale, label: str, bottom: float) -> list[str]:
    parts = [
        text(scale(tick), bottom + 16, f"{tick:g}", "middle", "soft")
        for tick in scale.ticks(30.0)
    ]
    middle = (LEFT + RIGHT) / 2
    return [*parts, text(middle, bottom + 32, label, "middle", "soft")]


def _grid(scale: Scale, top: float, bottom: float) -> list[str]:
    """A line a tick, the one that bars start at stronger; headings stay free."""
    start = 1.0 if scale.log else 0.0
    return [
        f'<path class="{"axis" if tick == start else "grid-line"}" '
        f'd="M{scale(tick)} {top}V{bottom}"/>'
        for tick in scale.ticks(30.0)
    ]


def _bar(scale: Scale, rival: str, value: float, y: float) -> str:
    start, end = scale(1.0 if scale.log else 0.0), scale(value)
    x, width = min(start, end), max(abs(end - start), 1.0)
    shape = f'x="{x}" y="{y + 2}" width="{width:.2f}" height="{LINE - 4}"'
    style = look(rival)
    return (
        f'<rect {shape} fill="{style.color}"/>'
        + text(LEFT - 6, y + 12, style.short, "end")
        + text(max(start, end) + 4, y + 12, figure(value))
    )


def _words(group: Group) -> str:
    rows = ", ".join(f"{look(rival).short} {figure(v)}" for rival, v in group.rows)
    return f"{group.title}: {rows}"
