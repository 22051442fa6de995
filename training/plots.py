"""Pictures of a training run (extra `plot`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xpnet.common.install import install

# Okabe and Ito's colours, told apart by colour-blind eyes.
TRAIN, VALIDATION, BEST = "#0072B2", "#D55E00", "#555555"


def need_matplotlib() -> Any:
    """The module; raises ImportError with the install line where it is missing."""
    try:
        import matplotlib
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ImportError:
        raise ImportError(f"plots need matplotlib: {install('plot')}") from None
    return matplotlib


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure, in inches, that needs no display."""
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def figure(columns: int) -> tuple[Any, Any]:
    """A figure with `columns` panels."""
    fig = new_figure(5.0 * columns, 3.8)
    return fig, fig.subplots(1, columns, squeeze=False)[0]


def saved(fig: Any, path: str | Path | None) -> Any:
    """The figure, which is written to `path` if one is given."""
    if path is not None:
        fig.savefig(path, dpi=150)
    return fig


def plot_history(
    rows: Sequence[Mapping[str, float]], best: int | None, path: str | Path | None
) -> Any:
    """Loss, and each validation metric, over epochs.

    Args:
        rows: {curve: value} of each epoch.
        best: the number of the epoch to be marked; None for none.
        path: where the picture is saved; None for nowhere.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    metrics = [n for n in names if n.startswith("val_") and n != "val_loss"]
    fig, panels = figure(1 + len(metrics))
    _draw(panels[0], rows, "loss", "-", TRAIN, "training")
    if "val_loss" in names:
        _draw(panels[0], rows, "val_loss", "--", VALIDATION, "validation")
    panels[0].set_ylabel("loss (mean over samples)")
    for panel, name in zip(panels[1:], metrics, strict=True):
        _draw(panel, rows, name, "--", VALIDATION, "validation")
        panel.set_ylabel(name.removeprefix("val_").replace("_", " "))
    for panel in panels:
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        if best is not None:
            panel.axvline(best, color=BEST, lw=1, ls=":", label="best")
        panel.legend()
    return saved(fig, path)


def _draw(
    panel: Any,
    rows: Sequence[Mapping[str, float]],
    name: str,
    style: str,
    color: str,
    label: str,
) -> None:
    """One curve; an interrupted epoch has no validation."""
    epochs = [i for i, row in enumerate(rows, 1) if name in row]
    values = [row[name] for row in rows if name in row]
    panel.plot(epochs, values, style, color=color, label=label)
