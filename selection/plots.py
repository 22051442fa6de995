"""Pictures of searches, learning curves and calibration (extra `plot`)."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.selection.space import shown
from xpnet.training.plots import BEST, TRAIN, VALIDATION, figure

if TYPE_CHECKING:
    from xpnet.selection.calibration import Reliability
    from xpnet.selection.curve import LearningCurve
    from xpnet.selection.results import Results, Trial

WIDE = 20.0  # a positive setting that spans more than this factor has a log axis


def plot_results(results: "Results", path: str | Path | None = None) -> Any:
    """A panel for each varied setting: the trials' means with their deviations."""
    names, trials = results.varied or [""], [t for t in results.ranked if t.complete]
    fig, panels = figure(len(names))
    for panel, name in zip(panels, names, strict=True):
        _scatter(panel, results, trials, name)
        panel.set_xlabel(name.replace("_", " "))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"{results.monitor.replace('_', ' ')} (mean ± deviation)")
    return _saved(fig, path)


def _scatter(panel: Any, results: "Results", trials: list["Trial"], name: str) -> None:
    values = [trial.settings.get(name, "") for trial in trials]
    numeric = all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    if numeric and values:
        places = [float(v) for v in values]
        if min(places) > 0.0 and max(places) / min(places) > WIDE:
            panel.set_xscale("log")
    else:
        words = list(dict.fromkeys(map(shown, values)))
        places = [float(words.index(shown(v))) for v in values]
        panel.set_xticks(range(len(words)), words)
    means = [trial.mean(results.monitor) for trial in trials]
    stds = [np.nan_to_num(trial.std(results.monitor)) for trial in trials]
    panel.errorbar(
        places, means, stds, fmt="o", color=TRAIN, ecolor=TRAIN, alpha=0.6, capsize=2
    )
    if trials:
        panel.plot(places[:1], means[:1], "*", color=VALIDATION, ms=14, label="best")
        panel.legend()


def plot_learning_curve(curve: "LearningCurve", path: str | Path | None = None) -> Any:
    """Both scores against the number of training samples."""
    fig, (panel,) = figure(1)
    name = curve.results.monitor
    for part, style, color, label in (
        (curve.train[name], "-", TRAIN, "training"),
        (curve.test[name], "--", VALIDATION, "held out"),
    ):
        sound = np.isfinite(part).any(axis=1)
        sizes = np.array(curve.sizes)[sound]
        mean, std = np.nanmean(part[sound], axis=1), np.nanstd(part[sound], axis=1)
        panel.plot(sizes, mean, style, marker="o", ms=4, color=color, label=label)
        panel.fill_between(sizes, mean - std, mean + std, color=color, alpha=0.15)
    panel.set_xlabel("training samples")
    panel.set_ylabel(f"{name.replace('_', ' ')} (mean ± deviation over folds)")
    panel.grid(alpha=0.3)
    panel.legend()
    return _saved(fig, path)


def plot_reliability(found: "Reliability", path: str | Path | None = None) -> Any:
    """Accuracy against confidence, with the share of samples in each bin."""
    fig, (panel,) = figure(1)
    width = float(found.edges[1] - found.edges[0])
    middle = (found.edges[:-1] + found.edges[1:]) / 2.0
    share = found.count / found.count.sum()
    panel.bar(middle, share, width, color=BEST, alpha=0.25, label="share of samples")
    panel.plot([0, 1], [0, 1], ":", color=BEST, label="calibrated")
    seen = found.count > 0
    panel.plot(
        found.confidence[seen],
        found.accuracy[seen],
        "o-",
        color=TRAIN,
        label="accuracy",
    )
    panel.set_xlabel("confidence")
    panel.set_ylabel("accuracy")
    error = found.error
    digits = 3 if error and math.log10(error) > -3 else 4
    panel.set_title(f"expected calibration error {error:.{digits}f}", fontsize=10)
    panel.legend()
    return _saved(fig, path)


def _saved(fig: Any, path: str | Path | None) -> Any:
    if path is not None:
        fig.savefig(path, dpi=150)
    return fig
