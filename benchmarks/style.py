"""How the page looks: colours that the colour-blind tell apart, markers, dashes, CSS.

Colours are Okabe and Ito's (2008); the floor takes the colour of the text. No colour
stands alone: bars carry names, lines have markers and dashes of their own.
"""

from dataclasses import dataclass

from xpnet.benchmarks.rivals import RIVALS


@dataclass(frozen=True)
class Look:
    """Of one rival.

    Attributes:
        short: its name where there is little room.
        color: of bars and lines, on light and on dark ground alike.
        marker: "circle", "square", "triangle", "diamond" or "cross".
        dash: SVG's stroke-dasharray, "" for a solid line.
    """

    short: str
    color: str
    marker: str = "circle"
    dash: str = ""


LOOKS = {
    "xpnet": Look("xpnet", "#D55E00"),
    "xpnet_nojit": Look("xpnet, no jit", "#E69F00", "diamond", "2 2"),
    "products": Look("bare products", "currentColor", "cross", "1 3"),
    "numpy": Look("NumPy by hand", "#3E8FC4", "square", "6 3"),
    "torch": Look("PyTorch", "#009E73", "triangle", "9 3 2 3"),
    "torch_compiled": Look("PyTorch, comp.", "#56B4E9", "triangle", "3 3"),
    "jax": Look("JAX", "#CC79A7", "diamond", "6 2 1 2"),
    "sklearn": Look("scikit-learn", "#C7B42C", "square", "2 4"),
    "thinc": Look("thinc", "#999999", "cross", "8 4"),
}


def look(name: str) -> Look:
    """Of the rival `name`; a plain one for a rival of another version."""
    return LOOKS.get(name, Look(RIVALS.get(name, name), "#999999"))


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
.grid { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.grid.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: .75rem; margin: 0; min-width: 0; }
.card svg.plot { display: block; width: 100%; max-width: 34rem; height: auto; }
svg text { fill: var(--text); font: 11px system-ui, sans-serif; }
svg .soft { fill: var(--soft); }
svg .strong { font-weight: 600; }
svg .grid-line { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
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
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; list-style: none; margin: 0;
  padding: 0; font-size: .8125rem; }
.legend svg { width: 34px; height: 12px; vertical-align: -1px; }
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
