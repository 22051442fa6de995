"""Pictures of a diagnosis (extra `plot`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.training.plots import BEST, figure, saved

# Okabe and Ito's colours, darkest contrasts first, and line styles for print; the
# yellow is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")


def plot_diagnosis(
    names: Sequence[str],
    steps: Sequence[int],
    layers: Mapping[str, NDArray],
    path: str | Path | None,
) -> Any:
    """A panel each for δ, the size of a step and idle units, a line per layer.

    Args:
        names: of the layers.
        steps: updates done before each look.
        layers: (looks, layers) of each measurement, see `Diagnosis.layers`.
        path: where the picture is saved; None for nowhere.
    """
    idle = np.fmax(layers["dead"], layers["saturated"])
    fig, panels = figure(3)
    rows = (
        ("δ of a sample, root mean square", layers["delta"]),
        ("change of the weights in a step, ‖ΔW‖ / ‖W‖", layers["update"]),
        ("dead or saturated units, share", idle),
    )
    for panel, (label, values) in zip(panels, rows, strict=True):
        for i, name in enumerate(names):
            if np.isfinite(values[:, i]).any():
                color = COLORS[i % len(COLORS)]
                style = STYLES[i // len(COLORS) % len(STYLES)]
                panel.plot(steps, values[:, i], style, color=color, label=name)
        panel.set_xlabel("step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    for panel in panels[:2]:
        panel.set_yscale("log", nonpositive="mask")
    panels[1].axhspan(1e-3, 1e-2, color=BEST, alpha=0.15)  # what is usual
    panels[2].set_ylim(-0.02, 1.02)
    return saved(fig, path)
