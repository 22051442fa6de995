"""Pictures that several lessons draw, each on given matplotlib axes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnet.lessons.support.style import (
    COLORS,
    GREY,
    MARKERS,
    SIGNED,
    SURFACE,
    line_style,
)

Plane = Callable[[NDArray[np.float64]], ArrayLike]  # f of points (n, 2): values (n,)
Range = tuple[float, float]
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
