"""Draws docs/rooms.svg: the rooms in order, and who imports whom.

    python -m docs.draw_rooms          draws it anew
    python -m docs.draw_rooms --check  only compares; exit status 1 if it differs

An arrow points to the room that is imported. It is left out where a chain of other
arrows leads there as well (the transitive reduction), so that the picture can be read.
"""

import ast
import sys
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import fmean

from docs.import_graph import FACE, ROOMS, import_graph, room_of

PICTURE = Path(__file__).with_name("rooms.svg")
Rooms = dict[str, set[str]]
Place = tuple[float, float]  # the middle of a box, or a point that an arrow passes

WIDTH, HEIGHT = 118, 30  # of a box
ACROSS, DOWN = 34, 46  # between boxes
BEND = 10  # the room of an arrow that passes a floor
MARGIN = 14
STYLE = """
    .box { fill: #f6f8fa; stroke: #57606a; }
    .name { fill: #1f2328; font: 14px system-ui, sans-serif; text-anchor: middle; }
    .arrow { fill: none; stroke: #57606a; stroke-width: 1.3; }
    .tip { fill: #57606a; }
    @media (prefers-color-scheme: dark) {
      .box { fill: #21262d; stroke: #9198a1; }
      .name { fill: #f0f6fc; }
      .arrow { stroke: #9198a1; }
      .tip { fill: #9198a1; }
    }"""


def room_graph() -> Rooms:
    """{room: the rooms above it that its modules import}.

    The public names of `xpnet` are imported when they are first asked for; what its
    `__init__` imports for type checkers is the list of them.
    """
    found: Rooms = {room: set() for room in ROOMS}
    for module, others in import_graph().items():
        found[room_of(module)] |= {room_of(other) for other in others}
    tree = ast.parse((FACE / "__init__.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        module = (isinstance(node, ast.ImportFrom) and node.module) or ""
        if module.startswith("xpnet."):
            found["xpnet"].add(room_of(module))
    order = ROOMS.index
    return {
        room: {other for other in others if order(other) < order(room)}
        for room, others in found.items()
    }


def reduced(graph: Rooms) -> Rooms:
    """The arrows that no chain of others stands for."""

    def reached(room: str) -> set[str]:
        return graph[room].union(*(reached(other) for other in graph[room]))

    return {
        room: {
            one for one in others if not any(one in reached(other) for other in others)
        }
        for room, others in graph.items()
    }


def floors(graph: Rooms) -> list[list[str]]:
    """The rooms by the longest chain of arrows below them, the ground first."""
    height: dict[str, int] = {}
    for room in ROOMS:
        height[room] = max((height[other] + 1 for other in graph[room]), default=0)
    return [
        [room for room in ROOMS if height[room] == level]
        for level in range(max(height.values()) + 1)
    ]


def _paths(graph: Rooms, rows: list[list[str]]) -> list[list[str]]:
    """Each arrow as the names that it passes: an arrow over several floors bends.

    The bends become members of `rows`.
    """
    level = {room: i for i, row in enumerate(rows) for room in row}
    paths = []
    for room in ROOMS:
        for other in sorted(graph[room], key=ROOMS.index):
            between = range(level[room] - 1, level[other], -1)
            bends = [f"{room}>{other}>{i}" for i in between]
            for i, bend in zip(between, bends, strict=True):
                rows[i].append(bend)
            paths.append([room, *bends, other])
    return paths


def _across(rows: list[list[str]], paths: list[list[str]]) -> dict[str, float]:
    """How far to the right the middle of everything is.

    All move to the mean place of their neighbours above and below, as far as there is
    room, until they rest.
    """
    beside: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for path in paths:
        for a, b in pairwise(path):
            beside[a].append(b)
            beside[b].append(a)
    places = {name: float(i) for row in rows for i, name in enumerate(row)}
    for _ in range(200):
        for row in rows:
            wanted = {
                name: fmean([places[name], *map(places.__getitem__, beside[name])])
                for name in row
            }
            row.sort(key=wanted.__getitem__)
            places |= _apart(row, wanted)
    return {name: round(x) for name, x in places.items()}


def _apart(row: list[str], wanted: dict[str, float]) -> dict[str, float]:
    """Places next to the wanted ones, with room for every box."""
    found: dict[str, float] = {}
    least = -inf
    for name in row:
        half = BEND / 2 if ">" in name else WIDTH / 2
        found[name] = max(wanted[name], least + half)
        least = found[name] + half + ACROSS
    pushed = fmean(found[name] - wanted[name] for name in row)
    return {name: x - pushed for name, x in found.items()}


def picture(graph: Rooms) -> str:
    """The text of the SVG."""
    rows = floors(graph)
    paths = _paths(graph, rows)
    across = _across(rows, paths)
    left = min(across.values()) - WIDTH / 2 - MARGIN
    width = max(across.values()) + WIDTH / 2 + MARGIN - left
    height = 2 * MARGIN + len(rows) * (HEIGHT + DOWN) - DOWN
    places = {
        name: (across[name] - left, MARGIN + HEIGHT / 2 + i * (HEIGHT + DOWN))
        for i, row in enumerate(rows)
        for name in row
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">',
        "<title>The rooms of xpnet; an arrow points to what a room imports</title>",
        f"<style>{STYLE}\n</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker>',
    ]
    lines += [_arrow([places[name] for name in path]) for path in paths]
    lines += [_box(room, *places[room]) for room in ROOMS]
    return "\n".join([*lines, "</svg>", ""])


def _arrow(points: list[Place]) -> str:
    """A curve from the top of the first box to the bottom of the last."""
    half = HEIGHT / 2
    x, y = points[0]
    y -= half
    text = f"M{x:g} {y:g}"
    for i, (to, middle) in enumerate(points[1:], 2):
        end = middle + half if i == len(points) else middle
        bend = (y + end) / 2
        text += f"C{x:g} {bend:g} {to:g} {bend:g} {to:g} {end:g}"
        x, y = to, end
    return f'<path class="arrow" d="{text}" marker-end="url(#tip)"/>'


def _box(room: str, x: float, y: float) -> str:
    left, top = x - WIDTH / 2, y - HEIGHT / 2
    return (
        f'<rect class="box" x="{left:g}" y="{top:g}" width="{WIDTH}" '
        f'height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{x:g}" y="{y + 5:g}">{room}</text>'
    )


def main(arguments: list[str], path: Path = PICTURE) -> int:
    """Draw it, or compare it."""
    text = picture(reduced(room_graph()))
    if "--check" in arguments:
        return int(not path.is_file() or path.read_text(encoding="utf-8") != text)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
