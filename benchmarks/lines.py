"""Lines with markers on two logarithmic axes."""

from dataclasses import dataclass
from html import escape

from xpnet.benchmarks.style import look
from xpnet.benchmarks.svg import WIDTH, Scale, frame, mark, text
from xpnet.benchmarks.tables import figure

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 58, WIDTH - 14, 8, 234, 272
CROWDED = 26  # labels nearer than this would touch


@dataclass(frozen=True)
class Series:
    """A rival's (x, y) points, x rising."""

    rival: str
    points: list[tuple[float, float]]


def lines(name: str, title: str, axes: tuple[str, str], series: list[Series]) -> str:
    """The picture and its legend; axes are the labels of x and y, with units."""
    xs = sorted({x for s in series for x, _ in s.points})
    ys = [y for s in series for _, y in s.points]
    across = Scale(xs[0], xs[-1], LEFT + 8, RIGHT - 8)
    up = Scale(min(ys) / 1.15, max(ys) * 1.15, BOTTOM, TOP)
    body = _axes(across, up, xs, axes)
    body += [_line(s, across, up) for s in series]
    words = "; ".join(
        f"{look(s.rival).short}: "
        + ", ".join(f"{figure(y)} at {x:g}" for x, y in s.points)
        for s in series
    )
    picture = frame(name, HEIGHT, title, f"{axes[1]} against {axes[0]}. {words}.", body)
    return picture + legend([s.rival for s in series])


def _axes(
    across: Scale, up: Scale, xs: list[float], labels: tuple[str, str]
) -> list[str]:
    parts = []
    free = float("inf")  # labels go from right to left, as far as there is room
    for x in reversed(xs):
        at = across(x)
        parts.append(f'<path class="grid-line" d="M{at} {TOP}V{BOTTOM}"/>')
        if at + CROWDED <= free:
            parts.append(text(at, BOTTOM + 15, f"{x:g}", "middle", "soft"))
            free = at
    for y in up.ticks():
        at = up(y)
        parts.append(f'<path class="grid-line" d="M{LEFT} {at}H{RIGHT}"/>')
        parts.append(text(LEFT - 5, at + 4, f"{y:,g}", "end", "soft"))
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>')
    middle = (LEFT + RIGHT) / 2
    parts.append(text(middle, HEIGHT - 6, labels[0], "middle", "soft"))
    height = (TOP + BOTTOM) / 2
    turned = text(0, 0, labels[1], "middle", "soft")
    parts.append(f'<g transform="translate(11 {height}) rotate(-90)">{turned}</g>')
    return parts


def _line(series: Series, across: Scale, up: Scale) -> str:
    style = look(series.rival)
    places = [(across(x), up(y)) for x, y in series.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    marks = "".join(mark(style.marker, x, y) for x, y in places)
    return (
        f'<g stroke="{style.color}" fill="{style.color}"><polyline points="{path}" '
        f'fill="none" stroke-width="1.8" stroke-dasharray="{style.dash}"/>{marks}</g>'
    )


def legend(rivals: list[str]) -> str:
    """A list of each rival's line, marker and name."""
    items = []
    for rival in rivals:
        style = look(rival)
        sample = (
            f'<svg viewBox="0 0 34 12" aria-hidden="true"><g stroke="{style.color}" '
            f'fill="{style.color}"><path d="M1 6H33" stroke-width="1.8" '
            f'stroke-dasharray="{style.dash}"/>{mark(style.marker, 17, 6)}</g></svg>'
        )
        items.append(f"<li>{sample} {escape(style.short)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
