"""Pictures of a training run (extra `plot`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpnet.training.history import History

# Okabe and Ito's colours, told apart by colour-blind eyes, and line styles for print.
TRAIN, VALIDATION, BEST = "#0072B2", "#D55E00", "#555555"


def figure(columns: int) -> tuple[Any, Any]:
    """A matplotlib figure with `columns` panels that needs no display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'xpnet[plot]'") from None
    fig = Figure(figsize=(5.0 * columns, 3.8), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(1, columns, squeeze=False)[0]


def plot_history(history: "History", path: str | Path | None = None) -> Any:
    """Loss, and each validation metric, over epochs; the best epoch is marked."""
    metrics = [n for n in history.names if n.startswith("val_") and n != "val_loss"]
    fig, panels = figure(1 + len(metrics))
    epochs = range(1, len(history) + 1)
    panels[0].plot(epochs, history["loss"], color=TRAIN, label="training")
    if "val_loss" in history.names:
        panels[0].plot(
            epochs, history["val_loss"], "--", color=VALIDATION, label="validation"
        )
    panels[0].set_ylabel("loss (mean over samples)")
    for panel, name in zip(panels[1:], metrics, strict=True):
        panel.plot(epochs, history[name], "--", color=VALIDATION, label="validation")
        panel.set_ylabel(name.removeprefix("val_").replace("_", " "))
    for panel in panels:
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        if history.best_epoch is not None:
            panel.axvline(history.best_epoch, color=BEST, lw=1, ls=":", label="best")
        panel.legend()
    if path is not None:
        fig.savefig(path, dpi=150)
    return fig
