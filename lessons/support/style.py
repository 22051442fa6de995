"""The style of all pictures: readable in print and by colour-blind readers."""

from collections.abc import Sequence
from typing import Any

from xpnet.training.plots import need_matplotlib, new_figure

# Okabe and Ito's colours, darkest contrasts first; the yellow is too pale for lines.
COLORS = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",
)
STYLES: tuple[Any, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (6, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SURFACE = "viridis"  # light is high
SIGNED = "cividis"  # for weights, from negative to positive
GREY = "#555555"

RC = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "legend.fontsize": 8.5,
    "legend.framealpha": 0.9,
    "lines.linewidth": 1.6,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of curve `number`: no two curves share both."""
    shift = number // len(COLORS)
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": STYLES[(number + shift) % len(STYLES)],
    }


def picture_style() -> Any:
    """A context in which matplotlib uses `RC`.

    Raises:
        ImportError: matplotlib is missing; the message has the install line.
    """
    return need_matplotlib().rc_context(RC)


def panels(
    rows: int, columns: int, size: tuple[float, float], bowls: Sequence[int]
) -> tuple[Any, list[Any]]:
    """A figure of rows × columns panels, each `size` inches; `bowls` are 3-D."""
    fig = new_figure(size[0] * columns, size[1] * rows)
    found = [
        fig.add_subplot(rows, columns, i + 1, projection="3d" if i in bowls else None)
        for i in range(rows * columns)
    ]
    return fig, found


def plain_ticks(fig: Any) -> None:
    """Write 0.2, not 2 × 10⁻¹, on logarithmic axes of less than two decades."""
    for axes in fig.axes:
        low, high = axes.get_ylim()
        if axes.get_yscale() == "log" and high < 60 * low:
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")


def unlabelled(fig: Any) -> list[int]:
    """Indices of panels with an axis without label; a colour bar needs one label."""
    missing = []
    for i, axes in enumerate(fig.axes):
        texts = [axes.get_xlabel(), axes.get_ylabel()]
        if hasattr(axes, "get_zlabel"):
            texts.append(axes.get_zlabel())
        bar = axes.get_label() == "<colorbar>"
        if axes.axison and not (any(texts) if bar else all(texts)):
            missing.append(i)
    return missing
