"""Pictures of a training run (extra `plot`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.common.install import install

if TYPE_CHECKING:
    from xpnet.diagnosis.report import Diagnosis
    from xpnet.training.history import History

# Okabe and Ito's colours, told apart by colour-blind eyes, and line styles for print.
TRAIN, VALIDATION, BEST = "#0072B2", "#D55E00", "#555555"
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")


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


def plot_history(history: "History", path: str | Path | None = None) -> Any:
    """Loss, and each validation metric, over epochs; the best epoch is marked."""
    metrics = [n for n in history.names if n.startswith("val_") and n != "val_loss"]
    fig, panels = figure(1 + len(metrics))
    _draw(panels[0], history, "loss", "-", TRAIN, "training")
    if "val_loss" in history.names:
        _draw(panels[0], history, "val_loss", "--", VALIDATION, "validation")
    panels[0].set_ylabel("loss (mean over samples)")
    for panel, name in zip(panels[1:], metrics, strict=True):
        _draw(panel, history, name, "--", VALIDATION, "validation")
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


def _draw(
    panel: Any, history: "History", name: str, style: str, color: str, label: str
) -> None:
    """One curve; an interrupted epoch has no validation."""
    epochs = [i for i, row in enumerate(history, 1) if name in row]
    panel.plot(epochs, history[name], style, color=color, label=label)


def plot_diagnosis(diagnosis: "Diagnosis", path: str | Path | None = None) -> Any:
    """A panel each for δ, the size of a step and idle units, a line a layer."""
    layers, steps = diagnosis.layers, diagnosis.steps
    idle = np.fmax(layers["dead"], layers["saturated"])
    fig, panels = figure(3)
    rows = (
        ("δ of a sample, root mean square", layers["delta"]),
        ("change of the weights in a step, ‖ΔW‖ / ‖W‖", layers["update"]),
        ("dead or saturated units, share", idle),
    )
    for panel, (label, values) in zip(panels, rows, strict=True):
        for i, name in enumerate(diagnosis.names):
            if np.isfinite(values[:, i]).any():
                color = LINES[i % len(LINES)]
                style = STYLES[i // len(LINES) % len(STYLES)]
                panel.plot(steps, values[:, i], style, color=color, label=name)
        panel.set_xlabel("step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    for panel in panels[:2]:
        panel.set_yscale("log", nonpositive="mask")
    panels[1].axhspan(1e-3, 1e-2, color=BEST, alpha=0.15)  # what is usual
    panels[2].set_ylim(-0.02, 1.02)
    if path is not None:
        fig.savefig(path, dpi=150)
    return fig
