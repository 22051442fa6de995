"""The searches: cross-validation, grids, random draws, halving, learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from xpnet.common import check_number, check_whole, explains_arguments
from xpnet.selection.curve import LearningCurve
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.exhaustive import Exhaustive
from xpnet.selection.fold_data import Split
from xpnet.selection.folds import Indices
from xpnet.selection.halving import Halving
from xpnet.selection.options import Checked, Options
from xpnet.selection.refit import refit
from xpnet.selection.results import Results
from xpnet.selection.runner import Maker, Runner
from xpnet.selection.space import Settings, check_names, draws, grid
from xpnet.selection.splitting import Folds, Splitting


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
    """The scores of networks made by `make` on samples that they were not trained on.

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
    splitting = Splitting(folds, stratify, groups, repeats)
    return _searched(make, x, y, grid(known), splitting, options)


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

    Settings of one architecture train as one stack.

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
        test: share of the samples that is set aside first and is in no fold; the best
            setting is trained on all others and scored on it, once.

    Returns:
        `Results`, one trial per combination.

    Raises:
        ValueError, TypeError: a misspelt name, unfit values, data, folds or options.
    """
    rows = grid(check_names(make, space))
    splitting = Splitting(folds, stratify, groups, repeats, test)
    return _searched(make, x, y, rows, splitting, options)


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
    """Settings drawn from ranges: better than a grid if only a few of them matter.

    Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13
    (2012). Arguments, results and errors as for `grid_search`; `space` may have
    `Uniform` and `LogUniform` ranges besides lists, and `trials` settings are drawn.
    """
    rows = draws(check_names(make, space), trials, Checked.of(options).seed)
    splitting = Splitting(folds, stratify, groups, repeats, test)
    return _searched(make, x, y, rows, splitting, options)


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

    After each round the best 1/factor of the settings continue, to `factor` times as
    many epochs in all; the last round reaches `epochs`. Jamieson and Talwalkar,
    "Non-stochastic best arm identification and hyperparameter optimization" (AISTATS
    2016). A setting that is stopped early keeps its last score, and cannot be the best.

    Args:
        trials: settings drawn; if `space` has only lists, at most all combinations.
        factor: above 1.
        make, x, y, folds, stratify, groups, test, options: as for `grid_search`;
            `callbacks` and `file` are not taken.

    Raises:
        ValueError, TypeError: as `grid_search`.
    """
    factor = check_number("", factor, "factor > 1", lambda f: f > 1.0)
    rows = draws(check_names(make, space), trials, Checked.of(options).seed)
    splitting = Splitting(folds, stratify, groups, 1, test)
    runner, splits, aside = _prepared(make, x, y, rows, splitting, options)
    runner.cut(splits)
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

    For every fold and size the first samples of its training part, in a random order:
    a larger part contains the smaller ones. All sizes and folds are one stack.

    Args:
        sizes: shares of the training part in (0, 1], or whole numbers of samples.
        make, x, y, settings, folds, stratify, groups, repeats, options: as for
            `cross_validate`.

    Raises:
        ValueError, TypeError: as `cross_validate`; a size above a training part.
    """
    known = grid({k: [v] for k, v in check_names(make, settings or {}).items()})
    splitting = Splitting(folds, stratify, groups, repeats)
    runner, whole, _ = _prepared(make, x, y, known, splitting, options)
    seed = runner.options.seed
    counts = _counts(sizes, min(len(split.train) for split in whole))
    runner.cut([split for count in counts for split in _shrunk(whole, count, seed)])
    runner.train_scores = True
    return LearningCurve(Exhaustive(runner).run(known), counts, len(whole))


def _searched(
    make: Maker,
    x: Any,
    y: Any,
    rows: list[Settings],
    splitting: Splitting,
    options: Any,
) -> Results:
    runner, splits, aside = _prepared(make, x, y, rows, splitting, options)
    runner.cut(splits)
    return _tested(runner, aside, Exhaustive(runner).run(rows))


def _prepared(
    make: Maker,
    x: Any,
    y: Any,
    rows: list[Settings],
    splitting: Splitting,
    options: Any,
) -> tuple[Runner, list[Split], Indices]:
    """A runner with checked data, the splits, and the rows of the test part."""
    runner = Runner(make, x, y, Checked.of(options))
    splitting.check_groups(len(runner.x))
    runner.check(rows[0])
    return runner, *splitting.of(runner)


def _tested(runner: Runner, aside: Indices, results: Results) -> Results:
    """Add the refit function, and the best setting's scores on the test part."""
    x, y, options = runner.x, runner.y, runner.options
    kept = np.setdiff1d(np.arange(len(x)), aside)

    def refit_function(settings: Settings, members: int) -> Ensemble:
        return refit(runner.make, settings, x, y, kept, options, members)

    results.refit_function = refit_function
    if len(aside) and not results.interrupted:
        results.test = results.refit().score(x, y, aside, options.sample_weight)
    return results


def _counts(sizes: Sequence[float], most: int) -> list[int]:
    """Sizes as numbers of samples, in rising order."""
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


def _shrunk(splits: list[Split], count: int, seed: int) -> list[Split]:
    """Every split with `count` of its training samples."""
    found = []
    for i, split in enumerate(splits):
        key = np.random.SeedSequence((seed, i))
        rows = np.random.Generator(np.random.Philox(key)).permutation(split.train)
        found.append(Split(np.sort(rows[:count]), split.test, split.repeat))
    return found
