"""Pictures of searches, learning curves and calibration (extra `plot`)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.selection.space import shown
from xpnet.training.plots import BEST, TRAIN, VALIDATION, figure, saved

WIDE = 20.0  # least ratio of positive settings for a logarithmic axis


def plot_trials(
    settings: Mapping[str, Sequence[Any]],
    means: Sequence[float],
    deviations: Sequence[float],
    score: str,
    path: str | Path | None = None,
) -> Any:
    """Scores against each setting, one panel per setting.

    Args:
        settings: {name: value of each trial}, the best trial first.
        means, deviations: of the score, one per trial; a deviation may be NaN.
        score: its name.
        path: of the file, or None.
    """
    fig, panels = figure(len(settings))
    for panel, (name, values) in zip(panels, settings.items(), strict=True):
        places = _places(panel, values)
        look: dict[str, Any] = {"color": TRAIN, "ecolor": TRAIN, "alpha": 0.6}
        spread = np.nan_to_num(np.array(deviations, float))
        panel.errorbar(places, means, spread, fmt="o", capsize=2, **look)
        if places:
            look = {"color": VALIDATION, "ms": 14, "label": "best"}
            panel.plot(places[:1], means[:1], "*", **look)
            panel.legend()
        panel.set_xlabel(name.replace("_", " "))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"{score.replace('_', ' ')} (mean ± deviation)")
    return saved(fig, path)


def _places(panel: Any, values: Sequence[Any]) -> list[float]:
    """Where values stand on the panel's x axis, which gets its scale or labels."""
    numeric = all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    if numeric and values:
        places = [float(v) for v in values]
        if min(places) > 0.0 and max(places) / min(places) > WIDE:
            panel.set_xscale("log")
        return places
    words = list(dict.fromkeys(map(shown, values)))
    panel.set_xticks(range(len(words)), words)
    return [float(words.index(shown(v))) for v in values]


def plot_learning_curve(
    sizes: Sequence[int],
    train: NDArray,
    test: NDArray,
    score: str,
    path: str | Path | None = None,
) -> Any:
    """Scores (sizes, folds) of training and of held-out samples against the size."""
    fig, (panel,) = figure(1)
    for part, style, color, label in (
        (train, "-", TRAIN, "training"),
        (test, "--", VALIDATION, "held out"),
    ):
        sound = np.isfinite(part).any(axis=1)
        x = np.array(sizes)[sound]
        mean, std = np.nanmean(part[sound], axis=1), np.nanstd(part[sound], axis=1)
        panel.plot(x, mean, style, marker="o", ms=4, color=color, label=label)
        panel.fill_between(x, mean - std, mean + std, color=color, alpha=0.15)
    panel.set_xlabel("training samples")
    panel.set_ylabel(f"{score.replace('_', ' ')} (mean ± deviation over folds)")
    panel.grid(alpha=0.3)
    panel.legend()
    return saved(fig, path)


def plot_reliability(
    edges: NDArray,
    confidence: NDArray,
    accuracy: NDArray,
    count: NDArray,
    error: float,
    path: str | Path | None = None,
) -> Any:
    """Accuracy against confidence, with the share of samples in each bin.

    Args:
        edges: of the bins, (bins + 1,).
        confidence, accuracy, count: (bins,), see `Reliability`.
        error: the expected calibration error.
        path: of the file, or None.
    """
    fig, (panel,) = figure(1)
    width = float(edges[1] - edges[0])
    middle = (edges[:-1] + edges[1:]) / 2.0
    share = count / count.sum()
    panel.bar(middle, share, width, color=BEST, alpha=0.25, label="share of samples")
    panel.plot([0, 1], [0, 1], ":", color=BEST, label="calibrated")
    seen = count > 0
    look = {"color": TRAIN, "label": "accuracy"}
    panel.plot(confidence[seen], accuracy[seen], "o-", **look)
    panel.set_xlabel("confidence")
    panel.set_ylabel("accuracy")
    digits = 3 if error and math.log10(error) > -3 else 4
    panel.set_title(f"expected calibration error {error:.{digits}f}", fontsize=10)
    panel.legend()
    return saved(fig, path)
