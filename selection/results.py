"""The results of a search: a table, JSON, a plot."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.common.arrays import NDArray
from xpnet.common.plain import plain
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.space import Settings, shown
from xpnet.training.history import direction

Scores = dict[str, float]


@dataclass(eq=False)
class Trial:
    """One setting and its scores on every split.

    Attributes:
        settings: the values.
        scores: {name: value} of each split's test part; None for a split that has not
            run or has failed.
        train_scores: the same of the training parts, in a learning curve.
        errors: {number of a split: why it failed}.
        epochs: number of epochs of each split.
        stopped_early: why halving stopped it, or "".
    """

    settings: Settings
    scores: list[Scores | None]
    train_scores: list[Scores | None] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    epochs: list[int] = field(default_factory=list)
    stopped_early: str = ""

    @property
    def complete(self) -> bool:
        """Whether every split has a result: only then can means be compared."""
        return not self.stopped_early and all(
            scores is not None for scores in self.scores
        )

    def values(self, name: str) -> NDArray:
        """The score `name` of the splits that have a result."""
        return np.array([scores[name] for scores in self.scores if scores is not None])

    def mean(self, name: str) -> float:
        """The mean over the splits; NaN without a result."""
        values = self.values(name)
        return float(values.mean()) if len(values) else math.nan

    def std(self, name: str) -> float:
        """The standard deviation over the splits (n - 1); NaN for fewer than two."""
        values = self.values(name)
        return float(values.std(ddof=1)) if len(values) > 1 else math.nan

    @property
    def note(self) -> str:
        """Its remark in the table."""
        if self.errors:
            first = next(iter(self.errors.values())).split(";")[0]
            return f"failed in {len(self.errors)} of {len(self.scores)}: {first}"
        missing = sum(scores is None for scores in self.scores)
        return (
            f"{missing} of {len(self.scores)} not run"
            if missing
            else self.stopped_early
        )


class Results:
    """Trials, best first.

    A setting that diverged on any split, whose score is NaN, or that has not run on all
    splits, is never the best: it comes last, with a remark. Of equal ones the first
    that was tried comes first.

    Attributes:
        trials: in the order in which they were tried.
        monitor: the score that decides.
        higher_is_better: {score: True, False or None}; a score with None, unknown,
            cannot decide between trials.
        interrupted: whether Ctrl-C ended the search.
        test: scores of the refitted best setting on the test part, or None.
        refitted: the last result of `refit`, or None.
        refit_function: trains settings on all samples of the search.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        monitor: str,
        higher_is_better: Mapping[str, bool | None] | None = None,
    ) -> None:
        self.trials, self.monitor = list(trials), monitor
        self.higher_is_better = {"loss": False, **(higher_is_better or {})}
        self.interrupted = False
        self.test: Scores | None = None
        self.refitted: Ensemble | None = None
        self.refit_function: Callable[[Settings, int], Ensemble] | None = None

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.ranked)

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first; incomplete ones last.

        Raises:
            ValueError: it is unknown whether a higher score is better.
        """
        if len(self.trials) < 2:
            return list(self.trials)
        known = self.higher_is_better.get(self.monitor)
        higher = direction("Results", self.monitor, known)

        def place(trial: Trial) -> tuple[bool, int, float]:
            if self._sound(trial):
                return False, 0, rank(trial, self.monitor, higher)
            return True, -max(trial.epochs, default=0), 0.0

        return sorted(self.trials, key=place)

    def _sound(self, trial: Trial) -> bool:
        """Whether its score can be compared."""
        return trial.complete and not math.isnan(trial.mean(self.monitor))

    @property
    def best(self) -> Trial:
        """The complete trial with the best mean.

        Raises:
            ValueError: no trial is complete; the message has the reason of the first.
        """
        first = self.ranked[0]
        if not first.complete:
            raise ValueError(
                "no setting has a result on every part: "
                f"{shown_settings(first.settings)}: {first.note}; try smaller learning "
                "rates"
            )
        if not self._sound(first):
            raise ValueError(
                f"{self.monitor} is NaN for every setting; use another monitor"
            )
        return first

    def refit(self, members: int = 1) -> Ensemble:
        """The best setting, trained on all samples of the search.

        Args:
            members: number of networks, which have different seeds.

        Returns:
            An `Ensemble` with the scalers; `[0]` is the first `Trainer`.

        Raises:
            ValueError: no trial is complete.
            DivergenceError: every member diverged.
        """
        assert self.refit_function is not None
        self.refitted = self.refit_function(self.best.settings, members)
        return self.refitted

    @property
    def names(self) -> list[str]:
        """The names of all scores."""
        found = [s for trial in self.trials for s in trial.scores if s is not None]
        return list(dict.fromkeys(name for scores in found for name in scores))

    @property
    def varied(self) -> list[str]:
        """The settings that differ between trials; all of them for a single trial."""
        names = list(dict.fromkeys(n for t in self.trials for n in t.settings))
        if len(self.trials) == 1:
            return names
        return [
            n for n in names if len({repr(t.settings.get(n)) for t in self.trials}) > 1
        ]

    def table(self) -> list[list[str]]:
        """Rows of text, the header first: rank, settings, mean ± deviation, note."""
        scores = [self.monitor, *(n for n in self.names if n != self.monitor)]
        rows = [["rank", *self.varied, *scores, ""]]
        for number, trial in enumerate(self.ranked, 1):
            cells = [shown(trial.settings.get(name, "")) for name in self.varied]
            means = [_spread(trial, name) for name in scores]
            place = str(number) if self._sound(trial) else "-"
            rows.append([place, *cells, *means, trial.note])
        return rows

    def __str__(self) -> str:
        rows = self.table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(f"{c:>{w}}" for c, w in zip(row[:-1], widths, strict=False))
            + (f"  {row[-1]}" if row[-1] else "")
            for row in rows
        ]
        if self.test is not None:
            scores = ", ".join(f"{n} {v:.4g}" for n, v in self.test.items())
            lines.append(
                f"the best, on the test part that nothing was chosen on: {scores}"
            )
        if self.interrupted:
            lines.append("interrupted: not all networks were trained")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON; numbers that are not finite are None."""
        found: dict[str, Any] = {
            "monitor": self.monitor,
            "higher_is_better": self.higher_is_better.get(self.monitor),
            "interrupted": self.interrupted,
            "test": self.test,
            "trials": [
                {
                    "settings": trial.settings,
                    "complete": trial.complete,
                    "mean": {n: trial.mean(n) for n in self.names},
                    "std": {n: trial.std(n) for n in self.names},
                    "scores": trial.scores,
                    "train_scores": trial.train_scores,
                    "errors": trial.errors,
                    "epochs": trial.epochs,
                    "stopped_early": trial.stopped_early,
                }
                for trial in self.ranked
            ],
        }
        return {name: plain(value) for name, value in found.items()}

    def to_json(self, path: str | Path | None = None) -> str:
        """The results as JSON text, best trial first; written to `path` if given."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def plot(self, path: str | Path | None = None) -> Any:
        """Score against each varied setting; saved to `path` if one is given.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is missing; the message has the install line.
        """
        from xpnet.selection.plots import plot_trials

        trials = [trial for trial in self.ranked if trial.complete]
        names = self.varied or [""]
        settings = {n: [t.settings.get(n, "") for t in trials] for n in names}
        means = [trial.mean(self.monitor) for trial in trials]
        deviations = [trial.std(self.monitor) for trial in trials]
        return plot_trials(settings, means, deviations, self.monitor, path)


def _spread(trial: Trial, name: str) -> str:
    mean, std = trial.mean(name), trial.std(name)
    if math.isnan(mean):
        return "-"
    return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"


def rank(trial: Trial, monitor: str, higher: bool) -> float:
    """Smaller for a better mean; NaN comes last."""
    mean = trial.mean(monitor)
    return math.inf if math.isnan(mean) else -mean if higher else mean


def shown_settings(settings: Settings) -> str:
    """The settings in one line."""
    return ", ".join(f"{k}={shown(v)}" for k, v in settings.items()) or "defaults"


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
