"""Scores against the number of training samples."""

import math
from typing import Any

import numpy as np

from xpnet.selection.results import Results


class LearningCurve:
    """Scores over training-set sizes.

    Attributes:
        results: of all trainings.
        sizes: numbers of training samples.
        test, train: {name: (sizes, folds)} scores of held-out and of training samples;
            NaN for a network that diverged.
    """

    def __init__(self, results: Results, sizes: list[int], folds: int) -> None:
        self.results, self.sizes = results, sizes
        (trial,) = results.trials
        shape = (len(sizes), folds)

        def scores(rows: list[Any], name: str) -> Any:
            values = [math.nan if row is None else row[name] for row in rows]
            return np.array(values).reshape(shape)

        self.test = {name: scores(trial.scores, name) for name in results.names}
        self.train = {name: scores(trial.train_scores, name) for name in results.names}

    def __str__(self) -> str:
        name = self.results.monitor
        lines = [f"{'samples':>8}  {'training ' + name:>24}  {'held-out ' + name:>24}"]
        for i, size in enumerate(self.sizes):
            cells = [
                f"{np.nanmean(part[name][i]):.4g} ± {np.nanstd(part[name][i]):.2g}"
                if np.isfinite(part[name][i]).any()
                else "diverged"
                for part in (self.train, self.test)
            ]
            lines.append(f"{size:>8}  {cells[0]:>24}  {cells[1]:>24}")
        return "\n".join(lines)

    def plot(self, path: Any = None) -> Any:
        """Mean and spread of both scores against the size; saved if `path` is given."""
        from xpnet.selection.plots import plot_learning_curve

        name = self.results.monitor
        parts = self.train[name], self.test[name]
        return plot_learning_curve(self.sizes, *parts, name, path)
