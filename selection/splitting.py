"""How a search divides its samples: a test part set aside, and folds of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.common import check_number, check_optional_flag, check_whole
from xpnet.common.arrays import as_labels
from xpnet.data import split_indices
from xpnet.selection.fold_data import Split
from xpnet.selection.folds import Indices, check_folds, k_folds
from xpnet.selection.runner import Runner
from xpnet.training.inputs import check_weighed

Folds = int | str | Sequence[Any]


@dataclass
class Splitting:
    """The arguments `folds`, `stratify`, `groups`, `repeats` and `test` of a search.

    Raises:
        ValueError, TypeError: one that is out of range or of another type.
    """

    folds: Folds
    stratify: bool | None
    groups: Any
    repeats: int = 1
    test: float = 0.0

    def __post_init__(self) -> None:
        self.stratify = check_optional_flag("", "stratify", self.stratify)
        self.repeats = check_whole("", "repeats", self.repeats, 1)
        test = check_number("", self.test, "0 <= test < 1", lambda t: 0.0 <= t < 1.0)
        self.test = test

    def check_groups(self, samples: int) -> None:
        """Raises ValueError or TypeError for groups that are not one per sample."""
        if self.groups is not None:
            self.groups = as_labels(self.groups, "groups", samples, numbers=True)

    def of(self, runner: Runner) -> tuple[list[Split], Indices]:
        """(splits of the samples to search on, rows of the test part).

        Raises:
            ValueError: folds that do not fit the samples; a test part without weight.
        """
        kept, aside = self._set_aside(runner)
        splits = self._splits(runner, kept)
        if len(aside):
            weights = runner.options.sample_weight
            check_weighed(weights, aside, "the test part")
        return splits, aside

    def _set_aside(self, runner: Runner) -> tuple[Indices, Indices]:
        """(rows to search on, rows of the test part)."""
        count, seed = len(runner.x), runner.options.seed
        if not self.test:
            return np.arange(count), np.arange(0)
        if self.groups is not None:
            parts = max(2, round(1.0 / self.test))
            return k_folds(count, parts, groups=self.groups, seed=seed)[0]
        shares = (1.0 - self.test, self.test)
        kept, aside = split_indices(count, shares, runner.labels, seed)
        return np.sort(kept), np.sort(aside)

    def _splits(self, runner: Runner, kept: Indices) -> list[Split]:
        """Folds of the rows `kept`."""
        count, folds, repeats = len(kept), self.folds, self.repeats
        groups = None if self.groups is None else self.groups[kept]
        if not isinstance(folds, int | np.integer | str):
            if repeats > 1 or self.stratify:
                name = "repeats" if repeats > 1 else "stratify"
                raise ValueError(
                    f"{name}: expected none with folds of your own; repeat or stratify "
                    "the folds yourself"
                )
            own = check_folds(folds, count)
            return [Split(kept[train], kept[test]) for train, test in own]
        labels, wanted = None, self.stratify
        if wanted or (wanted is None and groups is None and folds != "leave_one_out"):
            labels = runner.labels
            if wanted and labels is None:
                labels = runner.y
            labels = None if labels is None else labels[kept]
        seed = runner.options.seed
        options: Any = {"stratify": labels, "groups": groups, "repeats": repeats}
        found = k_folds(count, folds, seed=seed, **options)
        k = len(found) // repeats
        rows = enumerate(found)
        return [Split(kept[train], kept[test], i // k) for i, (train, test) in rows]
