"""The searches: cross-validation, grids, random draws, halving, learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from xpnet.common import check_number, check_whole, explains_arguments
from xpnet.data import Standardizer, split_indices
from xpnet.selection.ensemble import Ensemble
from xpnet.selection.exhaustive import Exhaustive
from xpnet.selection.fold_data import Split, scaled_x
from xpnet.selection.folds import Indices, check_folds, k_folds
from xpnet.selection.halving import Halving
from xpnet.selection.jobs import Job
from xpnet.selection.options import Checked, Options
from xpnet.selection.results import LearningCurve, Results
from xpnet.selection.runner import Maker, Runner
from xpnet.selection.space import Settings, check_names, draws, grid
from xpnet.stack import Stack
from xpnet.training.inputs import check_weighed


@explains_arguments
def cross_validate(
    make: Maker,
    x: Any,
    y: Any,
    settings: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Results:
    """The scores of networks made by `make` on samples that they were not trained on.

    All folds train at once, as one stack. Stone, "Cross-validatory choice and
    assessment of statistical predictions" (1974).

    Args:
        make: settings -> a new `Trainer`.
        x, y: (samples, *sample) and targets as for `Trainer.fit`, on the host.
        settings: arguments of `make`, and `epochs`, `batch_size`.
        options: see `Options`; without `test`.

    Returns:
        `Results` with one trial.

    Raises:
        ValueError, TypeError: unfit data, folds or options.
    """
    known = {k: [v] for k, v in check_names(make, settings or {}).items()}
    return _searched(make, x, y, grid(known), Checked.of(options, without="test"))


@explains_arguments
def grid_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Sequence[Any]],
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
        make, x, y: as for `cross_validate`.
        space: {name: values} for arguments of `make`, and `epochs`, `batch_size`.
        options: see `Options`.

    Returns:
        `Results`, one trial per combination.

    Raises:
        ValueError, TypeError: a misspelt name, unfit values, data, folds or options.
    """
    rows = grid(check_names(make, space))
    return _searched(make, x, y, rows, Checked.of(options))


@explains_arguments
def random_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 20,
    **options: Unpack[Options],
) -> Results:
    """Settings drawn from ranges: better than a grid if only a few of them matter.

    Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13
    (2012). Arguments, results and errors as for `grid_search`; `space` may have
    `Uniform` and `LogUniform` ranges besides lists, and `trials` settings are drawn.
    """
    checked = Checked.of(options)
    rows = draws(check_names(make, space), trials, checked.seed)
    return _searched(make, x, y, rows, checked)


@explains_arguments
def halving_search(
    make: Maker,
    x: Any,
    y: Any,
    space: Mapping[str, Any],
    trials: int = 27,
    factor: float = 3.0,
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
        make, x, y, options: as for `grid_search`; without `repeats`, `callbacks` and
            `file`.

    Raises:
        ValueError, TypeError: as `grid_search`.
    """
    factor = check_number("", factor, "factor > 1", lambda f: f > 1.0)
    checked = Checked.of(options, without="repeats")
    rows = draws(check_names(make, space), trials, checked.seed)
    runner, splits, aside = _prepared(make, x, y, rows, checked)
    runner.cut(splits)
    return _tested(runner, aside, Halving(runner, factor).run(rows))


@explains_arguments
def learning_curve(
    make: Maker,
    x: Any,
    y: Any,
    sizes: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 1.0),
    settings: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> LearningCurve:
    """Scores against the number of training samples: would more data help?

    For every fold and size the first samples of its training part, in a random order:
    a larger part contains the smaller ones. All sizes and folds are one stack.

    Args:
        sizes: shares of the training part in (0, 1], or whole numbers of samples.
        make, x, y, settings, options: as for `cross_validate`.

    Raises:
        ValueError, TypeError: as `cross_validate`; a size above a training part.
    """
    known = grid({k: [v] for k, v in check_names(make, settings or {}).items()})
    checked = Checked.of(options, without="test")
    runner, whole, _ = _prepared(make, x, y, known, checked)
    seed = runner.options.seed
    counts = _counts(sizes, min(len(split.train) for split in whole))
    runner.cut([split for count in counts for split in _shrunk(whole, count, seed)])
    runner.train_scores = True
    return LearningCurve(Exhaustive(runner).run(known), counts, len(whole))


def _searched(
    make: Maker, x: Any, y: Any, rows: list[Settings], options: Checked
) -> Results:
    runner, splits, aside = _prepared(make, x, y, rows, options)
    runner.cut(splits)
    return _tested(runner, aside, Exhaustive(runner).run(rows))


def _prepared(
    make: Maker, x: Any, y: Any, rows: list[Settings], options: Checked
) -> tuple[Runner, list[Split], Indices]:
    """A runner with checked data, the splits, and the rows of the test part."""
    runner = Runner(make, x, y, options)
    runner.check(rows[0])
    return runner, *split_samples(runner)


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


# How samples are divided: a test part set aside, and folds of the rest.


def split_samples(runner: Runner) -> tuple[list[Split], Indices]:
    """(splits of the samples to search on, rows of the test part).

    Raises:
        ValueError: folds that do not fit the samples; a test part without weight.
    """
    kept, aside = _set_aside(runner)
    splits = _splits(runner, kept)
    if len(aside):
        check_weighed(runner.options.sample_weight, aside, "the test part")
    return splits, aside


def _set_aside(runner: Runner) -> tuple[Indices, Indices]:
    """(rows to search on, rows of the test part)."""
    count, options = len(runner.x), runner.options
    if not options.test:
        return np.arange(count), np.arange(0)
    if options.groups is not None:
        parts = max(2, round(1.0 / options.test))
        return k_folds(count, parts, groups=options.groups, seed=options.seed)[0]
    shares = (1.0 - options.test, options.test)
    kept, aside = split_indices(count, shares, runner.labels, options.seed)
    return np.sort(kept), np.sort(aside)


def _splits(runner: Runner, kept: Indices) -> list[Split]:
    """Folds of the rows `kept`."""
    options, count = runner.options, len(kept)
    folds, repeats, wanted = options.folds, options.repeats, options.stratify
    groups = None if options.groups is None else options.groups[kept]
    if not isinstance(folds, int | np.integer | str):
        if repeats > 1 or wanted:
            name = "repeats" if repeats > 1 else "stratify"
            raise ValueError(
                f"{name}: expected none with folds of your own; repeat or stratify "
                "the folds yourself"
            )
        own = check_folds(folds, count)
        return [Split(kept[train], kept[test]) for train, test in own]
    labels = None
    if wanted or (wanted is None and groups is None and folds != "leave_one_out"):
        labels = runner.labels
        if wanted and labels is None:
            labels = runner.y
        labels = None if labels is None else labels[kept]
    how: Any = {"stratify": labels, "groups": groups, "repeats": repeats}
    found = k_folds(count, folds, seed=options.seed, **how)
    k, rows = len(found) // repeats, enumerate(found)
    return [Split(kept[train], kept[test], i // k) for i, (train, test) in rows]


# The best setting again.


def refit(
    make: Maker,
    settings: Settings,
    x: Any,
    y: Any,
    rows: Indices,
    options: Checked,
    members: int = 1,
) -> Ensemble:
    """`members` networks of these settings and different seeds, trained on `rows`.

    Scaling is fitted on these rows; the share `validation` of them is held out for the
    callbacks, as in the search.

    Raises:
        ArithmeticError: all of them diverged.
    """
    members = check_whole("", "members", members, 1)
    splits = [Split(rows, rows, repeat) for repeat in range(members)]
    runner = Runner(make, x, y, options)
    runner.check(settings)
    runner.cut(splits)
    trial = runner.trial(settings)
    jobs = [runner.job(trial, i) for i in range(members)]
    stack = Stack([runner.network_of(job) for job in jobs])
    # All members have the same rows and share one scaled copy.
    own = runner.splits[0].train
    jobs = [Job(trial, 0, job.epochs, job.batch_size) for job in jobs]
    data = runner.fold_data(jobs)
    with runner.bar(members * jobs[0].epochs) as progress:
        runner.fit(stack, data, jobs, jobs[0].epochs, progress)
    sound = [t for i, t in enumerate(stack.trainers) if i not in stack.errors]
    if not sound:
        raise next(iter(stack.errors.values()))
    _, scaler = scaled_x(runner.x, own, options.scale)
    y_scaler = None
    if options.scale_y:
        y_scaler = Standardizer.fit(runner.y[own])
    return Ensemble(sound, scaler, y_scaler)
