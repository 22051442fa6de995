"""What both kinds of plots are drawn with: scales, ticks, markers, the frame."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH = 360  # units; about a phone's pixels, so that text keeps its size there
MARKS = {
    "circle": '<circle cx="{x}" cy="{y}" r="3.2"/>',
    "square": '<rect x="{l}" y="{t}" width="6" height="6"/>',
    "triangle": '<path d="M{x} {t}l3.6 6.4h-7.2z"/>',
    "diamond": '<path d="M{x} {t}l3.4 3.4-3.4 3.4-3.4-3.4z"/>',
    "cross": '<path d="M{l} {t}l6 6m0-6l-6 6" stroke-width="1.8"/>',
}


@dataclass(frozen=True)
class Scale:
    """From values to places.

    Attributes:
        low, high: the least and the greatest value.
        start, stop: their places.
        log: whether equal ratios are equal lengths.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = True

    def __call__(self, value: float) -> float:
        """The place of `value`."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.stop - self.start), 2)

    def ticks(self, gap: float = 24.0) -> list[float]:
        """Round values at least `gap` apart: 1, 2, 5, 10, ...; 1, 10, ...; 1, 100."""
        if not self.log:
            step = nice(self.high / 5)
            return [i * step for i in range(int(self.high / step + 1e-9) + 1)]
        first, last = math.log10(self.low), math.log10(self.high)
        powers = range(math.floor(first), math.ceil(last) + 1)
        room = abs(self.stop - self.start) / max(last - first, 1e-9)  # of a decade
        steps = (1, 2, 5) if room * math.log10(2) >= gap else (1,)
        every = next(n for n in (1, 2, 4, 8, 16) if n * room >= gap or n == 16)
        found = [s * 10.0**p for p in powers if p % every == 0 for s in steps]
        return [v for v in found if self.low <= v * 1.0001 and v <= self.high * 1.0001]


def nice(value: float) -> float:
    """The round number 1, 2 or 5 × 10ⁿ that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(s * power for s in (1, 2, 5, 10) if s * power >= value * 0.9999)


def mark(kind: str, x: float, y: float) -> str:
    """A marker centred on (x, y)."""
    return MARKS[kind].format(x=x, y=y, l=round(x - 3, 2), t=round(y - 3, 2))


def text(
    x: float, y: float, content: str, anchor: str = "start", kind: str = ""
) -> str:
    """A line of text; `kind` is a class of the page's style."""
    place = f'x="{x}" y="{y}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(content)}</text>'


def frame(name: str, height: float, title: str, words: str, body: Iterable[str]) -> str:
    """The picture, with a title and a text alternative for those who cannot see it."""
    content = "".join(body)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-words">{escape(words)}</desc>{content}</svg>'
    )
