"""Pictures that several lessons draw on given axes, and the style of all pictures.

They are readable in print and by colour-blind readers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnet.diagnosis.plots import COLORS
from xpnet.training.plots import need_matplotlib, new_figure

Plane = Callable[[NDArray[np.float64]], ArrayLike]  # f of points (n, 2): values (n,)
Range = tuple[float, float]
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
GRID = 200  # points along each side of a plane
LEVELS = 18


def curves(
    axes: Any,
    values: Mapping[str, ArrayLike],
    x: ArrayLike | None = None,
    xlabel: str = "epoch",
    ylabel: str = "loss (mean over samples)",
    log: bool = True,
    logx: bool = False,
) -> None:
    """Curves by name, each over x or 1, 2, ...; `log` and `logx` choose the scales."""
    for i, (label, curve) in enumerate(values.items()):
        y = np.asarray(curve, float)
        at = np.arange(1, len(y) + 1) if x is None else np.asarray(x)
        axes.plot(at, y, label=label, **line_style(i))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if log:
        axes.set_yscale("log")
    if logx:
        low, high = axes.dataLim.intervalx
        axes.set_xscale("log", base=2 if high < 300 * low else 10)
        axes.xaxis.set_major_formatter("{x:,g}")
    if len(values) > 1:
        axes.legend()


def points(axes: Any, x: ArrayLike, y: ArrayLike) -> None:
    """Points x (n, 2) with a colour and a marker for each class of y (n,)."""
    x, y = np.asarray(x), np.asarray(y)
    for i, label in enumerate(np.unique(y)):
        chosen = x[y == label]
        look = {"color": COLORS[i], "marker": MARKERS[i], "label": f"class {label}"}
        axes.scatter(*chosen.T, s=16, edgecolors="white", linewidths=0.4, **look)
    axes.set_xlabel("x₁")
    axes.set_ylabel("x₂")


def decision(
    axes: Any, classify: Plane, x: ArrayLike, y: ArrayLike, margin: float = 0.15
) -> None:
    """The classes that `classify` gives over the plane, and the points (x, y)."""
    x, y = np.asarray(x), np.asarray(y)
    low, high = x.min(axis=0), x.max(axis=0)
    edge = margin * (high - low)
    spans = [(float(a), float(b)) for a, b in zip(low - edge, high + edge, strict=True)]
    u, v, found = _over(classify, spans[0], spans[1])
    count = int(max(found.max(), y.max())) + 1
    axes.contourf(
        u, v, found, np.arange(count + 1) - 0.5, colors=COLORS[:count], alpha=0.22
    )
    axes.contour(u, v, found, np.arange(1, count) - 0.5, colors=GREY, linewidths=0.8)
    points(axes, x, y)
    axes.grid(False)


def contour(axes: Any, f: Plane, x: Range, y: Range, log: bool = True) -> Any:
    """Level lines of f over the plane, filled; the lowest level is dark.

    With `log`, the levels are those of log₁₀ f, for valleys that are steep outside.
    Returns what a colour bar needs.
    """
    u, v, height = _over(f, x, y)
    shown = np.log10(np.maximum(height, np.nanmax(height) * 1e-9)) if log else height
    levels = _levels(shown)
    filled = axes.contourf(u, v, shown, levels, cmap=SURFACE, extend="both", alpha=0.5)
    look = {"colors": GREY, "linewidths": 0.5, "linestyles": "-"}
    axes.contour(u, v, shown, levels[::2], **look)
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.grid(False)
    return filled


def bowl(axes: Any, f: Plane, x: Range, y: Range, label: str) -> None:
    """The surface z = f over the plane, on three-dimensional axes."""
    u, v, height = _over(f, x, y, 60)
    axes.plot_surface(u, v, height, cmap=SURFACE, norm=_stretched(height), alpha=0.85)
    axes.set_zlabel(label)
    axes.view_init(elev=32, azim=-58)


def path(axes: Any, steps: Any, label: str = "", number: int | None = None) -> None:
    """The way (n, 2) of a descent: a line, its start a ring, its end a disc."""
    steps = np.asarray(steps, float)
    steps = steps[np.isfinite(steps).all(axis=1)]
    look = line_style(number) if number is not None else {"color": COLORS[1]}
    axes.plot(*steps.T, label=label or None, **look)
    axes.plot(*steps[0], "o", ms=7, color="white", mec="black", zorder=3)
    axes.plot(*steps[-1], "o", ms=7, color=look["color"], mec="black", zorder=3)


def images(
    axes: Sequence[Any],
    rows: ArrayLike,
    shape: tuple[int, int],
    titles: Sequence[str] = (),
    signed: bool = False,
) -> Any:
    """Each row of `rows` (n, h·w) as an h × w image, ink dark.

    With `signed`, for weights: one scale for all, 0 in its middle, the largest
    hundredth cut off. Returns what a colour bar needs.
    """
    rows = np.asarray(rows, float)
    limit = float(np.quantile(np.abs(rows), 0.99))
    look: dict[str, Any] = {"cmap": "Greys"}
    if signed:
        look = {"cmap": SIGNED, "vmin": -limit, "vmax": limit}
    drawn = None
    for i, panel in enumerate(axes):
        panel.set_axis_off()
        if i < len(rows):
            drawn = panel.imshow(rows[i].reshape(shape), **look)
            panel.set_title(titles[i] if titles else "", fontsize=9)
    return drawn


def confusion(axes: Any, matrix: ArrayLike, names: Sequence[Any]) -> None:
    """Counts (classes, classes), true by row and predicted by column."""
    matrix = np.asarray(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            ink = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.grid(False)


def _over(
    f: Plane, x: Range, y: Range, side: int = GRID
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(u, v, f) on a grid over the rectangle x × y."""
    u, v = np.meshgrid(np.linspace(*x, side), np.linspace(*y, side))
    values = np.asarray(f(np.stack([u.ravel(), v.ravel()], axis=1)))
    return u, v, values.reshape(u.shape)


def _stretched(height: NDArray[Any]) -> Any:
    """Colours that tell low heights apart better than high ones."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.4, float(np.nanmin(height)), float(np.nanmax(height)))


def _levels(height: NDArray[Any]) -> NDArray[Any]:
    """Evenly spaced levels between the lowest and the highest finite value."""
    finite = height[np.isfinite(height)]
    return np.linspace(finite.min(), finite.max(), LEVELS)


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
