"""The searches: cross-validation, grids, random draws, halving, learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from xpnet.common import (
    check_number,
    check_optional_flag,
    check_whole,
    explains_arguments,
)
from xpnet.common.arrays import as_labels
from xpnet.data import split_indices
from xpnet.selection.curve import LearningCurve
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.folds import check_folds, k_folds
from xpnet.selection.halving import Halving
from xpnet.selection.material import Part
from xpnet.selection.options import Checked, Options
from xpnet.selection.refit import refit
from xpnet.selection.results import Results
from xpnet.selection.runner import Maker, Runner
from xpnet.selection.space import Settings, check_names, draws, grid
from xpnet.training.inputs import check_weighed

Folds = int | str | Sequence[Any]


@explains_arguments
def cross_validate(
    make: Maker,
    x: Any,
    y: Any,
    settings: Mapping[str, Any] | None = None,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    **options: Unpack[Options],
) -> Results:
    """How well networks made by `make` do on samples that they have not seen.

    All folds train at once, as one stack. Stone, "Cross-validatory choice and
    assessment of statistical predictions" (1974).

    Args:
        make: settings -> a new `Trainer`.
        x, y: (samples, *sample) and targets as for `Trainer.fit`, on the host.
        settings: arguments of `make`, and `epochs`, `batch_size`.
        folds: how many, "leave_one_out", or (train, test) pairs of row numbers.
        stratify: keep the shares of the classes; None: where y holds labels.
        groups: see `k_folds`.
        repeats: see `k_folds`; each repeat has another seed too.
        options: see `Options`.

    Returns:
        `Results` with one trial.

    Raises:
        ValueError, TypeError: unfit data, folds or options.
    """
    known = {k: [v] for k, v in check_names(make, settings or {}).items()}
    return _searched(make, x, y, grid(known), folds, stratify, groups, repeats, options)


@explains_arguments
def grid_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Sequence[Any]],
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Every combination of values on every fold.

    Settings of one architecture train as one stack, other architectures as stacks of
    their own.

        def make(learning_rate=1e-3, l2=0.0, hidden=64, seed=0):
            layers = [xn.Dense(hidden, "relu"), xn.Dense(10)]
            rule = xn.Adam(learning_rate, l2=l2)
            return xn.Trainer(
                xn.Sequential(layers), "softmax_cross_entropy", rule, seed=seed
            )

        found = xn.grid_search(
            make, x, y, {"learning_rate": [1e-3, 3e-3], "hidden": [64, 128]},
            epochs=30, scale="standard", test=0.2,
        )
        print(found)  # a table, best first
        found.best.settings, found.test

    Args:
        make, x, y, folds, stratify, groups, repeats, options: as for `cross_validate`.
        space: {name: values} for arguments of `make`, and `epochs`, `batch_size`.
        test: share of the samples that is set aside first and seen by no fold; the
            best setting is trained on all others and scored on it, once.

    Returns:
        `Results`, a trial a combination.

    Raises:
        ValueError, TypeError: a misspelt name, unfit values, data, folds or options.
    """
    rows = grid(check_names(make, space))
    return _searched(make, x, y, rows, folds, stratify, groups, repeats, options, test)


@explains_arguments
def random_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 20,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Settings drawn from ranges: better than a grid where few of many matter.

    Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13
    (2012). Arguments, results and errors as for `grid_search`; `space` may hold
    `Uniform` and `LogUniform` ranges beside lists, and `trials` settings are drawn.
    """
    rows = draws(check_names(make, space), trials, Checked.of(options).seed)
    return _searched(make, x, y, rows, folds, stratify, groups, repeats, options, test)


@explains_arguments
def halving_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 27,
    factor: float = 3.0,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    test: float = 0.0,
    **options: Unpack[Options],
) -> Results:
    """Many settings for few epochs, the best of them for more, and so on.

    The best 1/factor of the settings goes on where it is, for `factor` times as many
    epochs in all; the last round reaches `epochs`. Jamieson and Talwalkar,
    "Non-stochastic best arm identification and hyperparameter optimization" (AISTATS
    2016). A setting that left early keeps the score that it had then, and cannot be the
    best.

    Args:
        trials: settings drawn; where `space` holds lists alone, at most all.
        factor: above 1.
        make, x, y, folds, stratify, groups, test, options: as for `grid_search`;
            `callbacks` and `file` are not taken.

    Raises:
        ValueError, TypeError: as `grid_search`.
    """
    factor = check_number("", factor, "factor > 1", lambda f: f > 1.0)
    rows = draws(check_names(make, space), trials, Checked.of(options).seed)
    runner, parts, aside = _prepared(
        make, x, y, rows, folds, stratify, groups, 1, options, test
    )
    runner.cut(parts)
    return _tested(runner, aside, Halving(runner, factor).run(rows))


@explains_arguments
def learning_curve(
    make: Maker,
    x: Any,
    y: Any,
    sizes: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 1.0),
    settings: Mapping[str, Any] | None = None,
    *,
    folds: Folds = 5,
    stratify: bool | None = None,
    groups: Any = None,
    repeats: int = 1,
    **options: Unpack[Options],
) -> LearningCurve:
    """Scores against the number of training samples: would more data help?

    For every fold the first samples of its training part, in a random order, of each
    size: a larger part contains the smaller ones. All sizes and folds are one stack.

    Args:
        sizes: shares of the training part in (0, 1], or whole numbers of samples.
        make, x, y, settings, folds, stratify, groups, repeats, options: as for
            `cross_validate`.

    Raises:
        ValueError, TypeError: as `cross_validate`; sizes that a training part has not.
    """
    known = grid({k: [v] for k, v in check_names(make, settings or {}).items()})
    runner, whole, _ = _prepared(
        make, x, y, known, folds, stratify, groups, repeats, options
    )
    seed = runner.options.seed
    counts = _counts(sizes, min(len(part.train) for part in whole))
    runner.cut([part for count in counts for part in _shrunk(whole, count, seed)])
    runner.train_scores = True
    return LearningCurve(runner.run(known), counts, len(whole))


def _searched(
    make: Maker,
    x: Any,
    y: Any,
    rows: list[Settings],
    folds: Folds,
    stratify: bool | None,
    groups: Any,
    repeats: int,
    options: Any,
    test: float = 0.0,
) -> Results:
    runner, parts, aside = _prepared(
        make, x, y, rows, folds, stratify, groups, repeats, options, test
    )
    runner.cut(parts)
    return _tested(runner, aside, runner.run(rows))


def _prepared(
    make: Maker,
    x: Any,
    y: Any,
    rows: list[Settings],
    folds: Folds,
    stratify: bool | None,
    groups: Any,
    repeats: int,
    options: Any,
    test: float = 0.0,
) -> tuple[Runner, list[Part], Any]:
    """A runner whose data are checked, the folds, and the rows of the test part."""
    stratify = check_optional_flag("", "stratify", stratify)
    repeats = check_whole("", "repeats", repeats, 1)
    test = check_number("", test, "0 <= test < 1", lambda t: 0.0 <= t < 1.0)
    runner = Runner(make, x, y, Checked.of(options))
    if groups is not None:
        groups = as_labels(groups, "groups", len(runner.x), numbers=True)
    runner.check(rows[0])
    kept, aside = _set_aside(runner, test, groups)
    parts = _parts(runner, kept, folds, stratify, groups, repeats)
    if len(aside):
        weights = runner.options.sample_weight
        check_weighed(weights, aside, "the test part")
    return runner, parts, aside


def _parts(
    runner: Runner,
    kept: Any,
    folds: Folds,
    stratify: bool | None,
    groups: Any,
    repeats: int,
) -> list[Part]:
    """Folds of the rows `kept`."""
    count, groups = len(kept), None if groups is None else groups[kept]
    if not isinstance(folds, int | np.integer | str):
        if repeats > 1 or stratify:
            name = "repeats" if repeats > 1 else "stratify"
            raise ValueError(
                f"{name}: expected none with folds of your own, which say all; make "
                "the folds so"
            )
        own = check_folds(folds, count)
        return [Part(kept[train], kept[test]) for train, test in own]
    labels = None
    if stratify or (stratify is None and groups is None and folds != "leave_one_out"):
        labels = runner.labels
        if stratify and labels is None:
            labels = runner.y
        labels = None if labels is None else labels[kept]
    seed = runner.options.seed
    found = k_folds(
        count, folds, stratify=labels, groups=groups, repeats=repeats, seed=seed
    )
    k = len(found) // repeats
    return [
        Part(kept[train], kept[test], i // k) for i, (train, test) in enumerate(found)
    ]


def _set_aside(runner: Runner, test: float, groups: Any) -> tuple[Any, Any]:
    """(rows to search on, rows that nothing is chosen on)."""
    count, seed = len(runner.x), runner.options.seed
    if not test:
        return np.arange(count), np.arange(0)
    if groups is not None:
        parts = max(2, round(1.0 / test))
        kept, aside = k_folds(count, parts, groups=groups, seed=seed)[0]
        return kept, aside
    shares = (1.0 - test, test)
    kept, aside = split_indices(count, shares, runner.labels, seed)
    return np.sort(kept), np.sort(aside)


def _tested(runner: Runner, aside: Any, results: Results) -> Results:
    """The results, able to refit; the best setting is scored on the test part."""
    x, y, options = runner.x, runner.y, runner.options
    kept = np.setdiff1d(np.arange(len(x)), aside)

    def again(settings: Settings, members: int) -> Ensemble:
        return refit(runner.make, settings, x, y, kept, options, members)

    results.again = again
    if len(aside) and not results.interrupted:
        results.test = results.refit().score(x, y, aside, options.sample_weight)
    return results


def _counts(sizes: Sequence[float], most: int) -> list[int]:
    """Sizes as numbers of samples, rising."""
    found = set()
    for size in sizes:
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if whole and size > 1:
            found.add(check_whole("", "sizes", size, 1, most))
        else:
            share = check_number("", size, "0 < sizes <= 1", lambda s: 0.0 < s <= 1.0)
            found.add(max(1, round(share * most)))
    if not found:
        raise ValueError("sizes: expected at least one, got none")
    return sorted(found)


def _shrunk(parts: list[Part], count: int, seed: int) -> list[Part]:
    """Every part with `count` of its training samples."""
    found = []
    for i, part in enumerate(parts):
        key = np.random.SeedSequence((seed, i))
        rows = np.random.Generator(np.random.Philox(key)).permutation(part.train)
        found.append(Part(np.sort(rows[:count]), part.test, part.repeat))
    return found
